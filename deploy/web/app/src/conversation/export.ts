/** Conversations as files: Markdown for people, JSON for programs. */

import { pathOf, type Conversation, type Message } from "./conversation";

/** A heading a message; thoughts are quoted. */
export function asMarkdown(conversation: Conversation): string {
  const system = conversation.system.trim() ? [`## System\n\n${conversation.system.trim()}`] : [];
  const parts = [`# ${conversation.title || "Conversation"}`, ...system, ...pathOf(conversation).map(section)];
  return `${parts.join("\n\n")}\n`;
}

function section({ role, text, thought }: Message): string {
  const quoted = (thought?.text.trim() ?? "").split("\n").map((line) => `> ${line}`.trimEnd());
  const parts = [role === "user" ? "## You" : "## Model", thought ? quoted.join("\n") : "", text.trim()];
  return parts.filter(Boolean).join("\n\n");
}

/** Everything that is kept of conversations, versions of messages included. */
export function asJson(conversations: readonly Conversation[]): string {
  return `${JSON.stringify({ format: "thinkport conversations 1", conversations }, null, 2)}\n`;
}

export function fileName(conversation: Conversation, suffix: string): string {
  const words = conversation.title.normalize("NFKC").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  return `${words.slice(0, 50) || "conversation"}.${suffix}`;
}

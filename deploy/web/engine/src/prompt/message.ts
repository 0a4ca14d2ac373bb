/** Messages as a caller gives them, checked before a template sees them: templates drop what they don't expect. */

import { inputError } from "../errors.js";

export type Role = "system" | "user" | "assistant" | "tool";

/** A call in the history, as templates read it. `arguments` is an object, or the text that the model wrote in its place. */
export interface MessageCall {
  readonly id?: string;
  readonly type?: "function";
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> | string };
}

/** One message; further fields reach the template as they are. `content` may be parts of text, which are joined. */
export interface Message {
  readonly role: Role;
  readonly content?: string | readonly { readonly type: "text"; readonly text: string }[] | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly MessageCall[];
  readonly tool_call_id?: string;
  readonly [field: string]: unknown;
}

/** A tool as OpenAI's interface and transformers describe it, or its function alone. */
export type Tool = Readonly<Record<string, unknown>>;

/** A message whose content is a text. */
export type CheckedMessage = Message & { readonly content: string };

const ROLES: readonly string[] = ["system", "user", "assistant", "tool"];

/** The messages with a text for content each. Throws an input error: none, an unknown role, or content that is no text. */
export function checked(messages: readonly Message[]): CheckedMessage[] {
  if (!Array.isArray(messages)) throw inputError(`the messages are ${typeof messages}, expected a list of messages`);
  if (!messages.length) throw inputError("there are no messages, expected at least one: add a user message");
  return messages.map(checkedMessage);
}

function checkedMessage(message: Message): CheckedMessage {
  if (message === null || typeof message !== "object" || !("role" in message)) {
    throw inputError(`a message is ${JSON.stringify(message)}, expected an object with role and content`);
  }
  const { role, content } = message;
  if (!ROLES.includes(role)) throw inputError(`a message's role is ${JSON.stringify(role)}, expected one of: ${ROLES.join(", ")}`);
  if ((content === null || content === undefined) && role === "assistant") return { ...message, content: "" };
  return typeof content === "string" ? (message as CheckedMessage) : { ...message, content: joined(role, content) };
}

function joined(role: string, content: unknown): string {
  const texts = Array.isArray(content) ? content.map((part) => part?.text) : [];
  if (!texts.length || !texts.every((text) => typeof text === "string")) {
    throw inputError(`the content of a ${role} message is ${JSON.stringify(content)}, expected a text, or a list of parts of text`);
  }
  return texts.join("");
}

/**
 * Whether a reply thinks: the caller's switches first, then what the messages say; and with which part it begins.
 *
 * Qwen's two kinds of switch (https://github.com/QwenLM/Qwen3, "Switching Between Thinking and Non-Thinking Mode"): the
 * hard one is the template's `enable_thinking`; the soft ones are `/think` and `/no_think` in a user or system message,
 * of which the latest counts, and only while the hard one is not off.
 */

import type { ThinkingIds } from "../artifact/manifest.js";
import { inputError } from "../errors.js";
import type { CheckedMessage } from "../prompt/message.js";
import type { ModelTokenizer } from "../prompt/tokenizer.js";
import type { DecidedBy, Switch, Thinking } from "./thinking.js";

export type Part = "thought" | "answer";

/** How a prompt leaves the reply to begin: free to open a thought, within one, or past one. */
export type Opening = "free" | "thinking" | "answering";

/** How thinking is switched for one reply, and who switched it. `hard` is what the template is told, null for nothing. */
export interface Decision {
  readonly enabled: Switch;
  readonly by: DecidedBy;
  readonly hard: boolean | null;
}

// A word of its own: what is quoted, a path or `</think>` in a pasted text switches nothing.
const SOFT = /(?<!\S)\/(no_)?think(?!\S)/g;

/** What the prompt's last think marker says; a closed thought counts if nothing but white space follows it. */
export function opening(prompt: readonly number[], ids: ThinkingIds | null, tokenizer: ModelTokenizer): Opening {
  if (!ids) return "answering";
  for (let at = prompt.length - 1; at >= 0; at--) {
    if (prompt[at] === ids.start) return "thinking";
    if (prompt[at] === ids.end) return tokenizer.decode(prompt.slice(at + 1)).trim() ? "free" : "answering";
  }
  return "free";
}

/** How the reply begins once the caller was heard. Throws an input error: off, and the prompt opened a thought all the same. */
export function switched(begin: Opening, hard: boolean | null): Opening {
  if (hard === false && begin === "thinking") {
    throw inputError(
      "thinking can't be switched off: this model's chat template has no switch and always opens a thought. Leave " +
        "thinking on, or use a model that can do both",
    );
  }
  return begin;
}

/** The decision for a reply to `messages`: the nearest hard switch, and within on or auto the latest soft one. */
export function decide(
  messages: readonly CheckedMessage[],
  asked: { readonly call: Thinking | null; readonly chat: Thinking | null; readonly model: Thinking | null },
  manifest: boolean | null,
): Decision {
  const by = (["call", "chat", "model"] as const).find((one) => asked[one]?.enabled) ?? "model";
  const enabled = asked[by]?.enabled ?? (manifest === null ? "auto" : manifest ? "on" : "off");
  const hard = enabled === "auto" ? null : enabled === "on";
  const soft = hard === false ? null : latestSoftSwitch(messages);
  return soft ? { enabled: soft, by: "message", hard } : { enabled, by: hard === null ? "template" : by, hard };
}

/** What the last `/think` or `/no_think` of the user's and system's messages says; null if there is none. */
function latestSoftSwitch(messages: readonly CheckedMessage[]): Switch | null {
  for (const message of messages.toReversed()) {
    const said = message.role === "user" || message.role === "system" ? message.content : "";
    const isResult = said.startsWith("<tool_response>") && said.endsWith("</tool_response>");
    const last = isResult ? undefined : [...said.matchAll(SOFT)].at(-1);
    if (last) return last[1] ? "off" : "on";
  }
  return null;
}

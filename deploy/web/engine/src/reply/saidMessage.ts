/** A reply as a message of the history. */

import type { End } from "../events.js";
import type { Message } from "../prompt/message.js";
import { messageCalls } from "../tools/toolCalls.js";

/** A thought is named even where there is none if a template might find one in the text. */
export function saidMessage(end: End): Message {
  return {
    role: "assistant",
    content: end.answer,
    ...(end.thought || end.answer.includes("</think>") ? { reasoning_content: end.thought } : {}),
    ...(end.toolCalls.length ? { tool_calls: messageCalls(end.toolCalls) } : {}),
  };
}

/** Answer and tool calls, told apart by the tags' ids, never by text. Qwen's tags are added tokens of the tokenizer. */

import type { Finish, ToolCall } from "../events.js";
import { Detokenizer } from "../prompt/detokenizer.js";
import { HeldNewlines } from "../prompt/heldNewlines.js";
import type { ModelTokenizer } from "../prompt/tokenizer.js";
import { cutCall } from "./toolCalls.js";
import type { ToolBox } from "./toolbox.js";

export const CALL_START = "<tool_call>";
const CALL_END = "</tool_call>";

export type ReplyPiece = string | ToolCall;

/**
 * Turns an answer's ids into pieces of its text and whole tool calls; nothing that it gave is taken back. Newlines that
 * start the answer, and newlines beside a call, are the template's: they are held until more text comes, and never shown
 * if none does. Without tools, or in a model without tags, the tags are plain text.
 */
export class ToolCallSplitter {
  private readonly start: number | undefined;
  private readonly stop: number | undefined;
  private readonly detokenizer: Detokenizer;
  private body: string | null = null; // of the open call
  private readonly text = new HeldNewlines();
  private besideCall = false; // what is held follows a call

  constructor(
    tokenizer: ModelTokenizer,
    private readonly toolbox: ToolBox,
  ) {
    const tagged = toolbox.names.length > 0 && tokenizer.added.has(CALL_START) && tokenizer.added.has(CALL_END);
    this.start = tagged ? tokenizer.added.get(CALL_START) : undefined;
    this.stop = tagged ? tokenizer.added.get(CALL_END) : undefined;
    this.detokenizer = new Detokenizer(tokenizer);
  }

  /** What is whole with this id, in its order; often nothing. */
  feed(id: number): ReplyPiece[] {
    if (id === this.start) return this.open();
    if (id === this.stop && this.body !== null) return this.close();
    return this.take(this.detokenizer.feed(id));
  }

  /** What is still held where the answer ends. A call that a stop left open is read as it is; one cut off is a problem. */
  flush(finish: Finish): ReplyPiece[] {
    const pieces: ReplyPiece[] = this.take(this.detokenizer.flush());
    if (this.body !== null) pieces.push(finish === "stop" ? this.toolbox.parse(this.body) : cutCall(this.body));
    else if (!this.besideCall) pieces.push(...this.text.show("", false));
    this.body = null;
    this.text.held = "";
    return pieces;
  }

  private open(): ReplyPiece[] {
    // A model that forgets to close a call before the next one has written the first all the same.
    const pieces = this.body !== null ? this.close() : this.take(this.detokenizer.flush());
    this.body = this.text.held = "";
    return pieces;
  }

  private close(): ReplyPiece[] {
    const body = (this.body ?? "") + this.detokenizer.flush();
    this.body = null;
    this.besideCall = true;
    return [this.toolbox.parse(body)];
  }

  private take(text: string): ReplyPiece[] {
    if (this.body !== null) {
      this.body += text;
      return [];
    }
    const shown = this.text.show(text, this.start !== undefined);
    if (shown.length) this.besideCall = false;
    return shown;
  }
}

/** Thought, answer and tool calls: the parts of a reply, told apart by ids, never by text. Qwen's tags are added tokens of the tokenizer. */

import type { ThinkingIds } from "../artifact/manifest.js";
import type { Finish, ToolCall } from "../events.js";
import { Detokenizer, type ModelTokenizer } from "../prompt/tokenizer.js";
import type { Opening, Part } from "../thinking/thinking.js";
import { cutCall, type ToolBox } from "../tools/toolCalls.js";

export const CALL_START = "<tool_call>";
const CALL_END = "</tool_call>";

/** More text of a part, or a call. */
export type ReplyPiece = string | ToolCall;

/** Turns a reply's ids into pieces of thought and answer and into tool calls, without the markers between them. */
export class ReplySplitter {
  part: Part;
  readonly tokens: Record<Part, number> = { thought: 0, answer: 0 };
  private readonly thought = new HeldNewlines();
  private readonly detokenizer: Detokenizer; // of thoughts
  private readonly answer: ToolCallSplitter;

  constructor(
    tokenizer: ModelTokenizer,
    private readonly thinking: ThinkingIds | null,
    begin: Opening,
    toolbox: ToolBox,
  ) {
    this.part = begin === "thinking" ? "thought" : "answer";
    this.detokenizer = new Detokenizer(tokenizer);
    this.answer = new ToolCallSplitter(tokenizer, toolbox);
  }

  /** The pieces that this id completes, often none; they belong to the part before it. A `forced` id is not counted. */
  feed(id: number, forced: boolean): ReplyPiece[] {
    const { thinking } = this;
    if (thinking && (id === thinking.start || id === thinking.end)) {
      const pieces = this.flush("stop");
      this.part = id === thinking.start ? "thought" : "answer";
      return pieces;
    }
    if (!forced) this.tokens[this.part] += 1;
    return this.part === "answer" ? this.answer.feed(id) : this.thought.show(this.detokenizer.feed(id));
  }

  /** The pieces that are still held where the reply ends by `finish`. */
  flush(finish: Finish): ReplyPiece[] {
    return this.part === "answer" ? this.answer.flush(finish) : this.thought.show(this.detokenizer.flush());
  }
}

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

/** A text as it comes, without newlines at its start: later ones are held until more text follows. */
class HeldNewlines {
  held = "";
  private bare = true; // nothing was shown yet

  /** The piece of the text that is certain now, none or one; unless it `holds`, newlines at its end are. */
  show(text: string, holds = true): string[] {
    const joined = this.held + text;
    const whole = this.bare ? joined.replace(/^\n+/, "") : joined;
    const shown = holds ? whole.replace(/\n+$/, "") : whole;
    this.held = whole.slice(shown.length);
    this.bare &&= !shown;
    return shown ? [shown] : [];
  }
}

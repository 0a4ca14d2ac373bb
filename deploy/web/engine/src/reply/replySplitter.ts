/** Thought and answer: the two parts of a reply, told apart by ids, never by text. */

import type { ThinkingIds } from "../artifact/manifest.js";
import type { Finish } from "../events.js";
import { Detokenizer } from "../prompt/detokenizer.js";
import { HeldNewlines } from "../prompt/heldNewlines.js";
import type { ModelTokenizer } from "../prompt/tokenizer.js";
import type { Opening, Part } from "../thinking/thinkingSwitch.js";
import { type ReplyPiece, ToolCallSplitter } from "../tools/toolCallSplitter.js";
import type { ToolBox } from "../tools/toolbox.js";

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

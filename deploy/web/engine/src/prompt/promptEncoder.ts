/**
 * Messages to ids: the template's text, with what messages spell kept apart from what the template writes.
 *
 * The ids are those of the rendered text, with two exceptions. Content that spells an added token (`<|im_end|>`,
 * `<think>`) becomes plain-text ids: content can't open a turn or a thought. And a reply that was sampled here keeps the
 * ids it was sampled with.
 */

import { inputError } from "../errors.js";
import { Marks, type Piece } from "./marks.js";
import { checked, type CheckedMessage, type Message, type Tool } from "./message.js";
import type { ReplyMemory } from "./replyMemory.js";
import { type ChatTemplate, normalized, type TemplateOptions } from "./template.js";
import type { ModelTokenizer } from "./tokenizer.js";

const NEXT = "what is said next"; // content of a message that is not said yet

/** Makes the prompts of one model; `replies` knows the ids of some messages. */
export class PromptEncoder {
  constructor(
    private readonly tokenizer: ModelTokenizer,
    private readonly template: ChatTemplate,
    private readonly replies: ReplyMemory,
  ) {}

  /** The prompt that the template makes of `messages`. Throws an input error: the template refuses them or garbles content. */
  encode(messages: readonly Message[], options: TemplateOptions = {}): number[] {
    const { rendered, known } = this.render(checked(messages), options);
    return rendered.encode(this.tokenizer, known);
  }

  /**
   * Ids that every prompt begins with in which something new follows `messages`; empty where the template hides it.
   * Templates write the last reply in one way and a reply that was answered in another, so an answer is put behind them.
   */
  history(messages: readonly Message[], options: TemplateOptions = {}): number[] {
    const said = checked(messages);
    const role = said.at(-1)!.tool_calls?.length ? "tool" : "user";
    const { rendered, known } = this.render([...said, { role, content: NEXT }], options);
    return rendered.encode(this.tokenizer, known, Math.max(0, rendered.text.lastIndexOf(NEXT)));
  }

  private render(messages: readonly CheckedMessage[], options: TemplateOptions): { rendered: RenderedText; known: KnownSpan[] } {
    const text = this.template.render(messages, options);
    const plain = normalized(messages);
    const marks = new Marks(this.tokenizer.spellings, plain, options.tools ?? null);
    const marked = marks.any ? this.renderMarked(plain as unknown as CheckedMessage[], options, marks) : text;
    // Where content opens nothing, it doesn't matter what the template does to it.
    const opens = this.spelled(marked).join("\0") !== this.spelled(text).join("\0");
    const rendered = new RenderedText(opens ? marks.split(marked) : [{ text, spelled: false }]);
    if (rendered.text !== text) {
      const spelled = [...this.tokenizer.added.keys()].filter((token) => text.includes(token)).sort().join(", ");
      throw inputError(
        `a message spells added tokens (of ${spelled}) and this chat template changes them beyond recognition: remove ` +
          "them from the message",
      );
    }
    return { rendered, known: this.known(rendered, messages) };
  }

  private renderMarked(messages: readonly CheckedMessage[], options: TemplateOptions, marks: Marks): string {
    const tools = options.tools ? (marks.mark(options.tools) as Tool[]) : options.tools;
    const marked = marks.mark(messages) as CheckedMessage[];
    return this.template.render(marked, { ...options, tools }, (text) => marks.unmark(text));
  }

  private spelled(text: string): string[] {
    return this.tokenizer.spellings.spans(text).map(([start, end]) => text.slice(start, end));
  }

  /** The replies among `messages` whose ids are known and whose text stands in the prompt as they spell it. */
  private known(rendered: RenderedText, messages: readonly CheckedMessage[]): KnownSpan[] {
    const header = this.template.replyHeader;
    const found: KnownSpan[] = [];
    let at = rendered.first(header);
    for (const message of messages.filter((one) => one.role === "assistant")) {
      if (at < 0) break;
      const start = at + header.length;
      const spelling = this.replies.spellings(message.content).find(({ text }) => {
        const end = start + text.length;
        return rendered.text.startsWith(text, start) && rendered.hasAddedToken(this.tokenizer, end);
      });
      if (spelling) found.push({ start, end: start + spelling.text.length, ids: spelling.ids });
      at = rendered.first(header, start);
    }
    return found;
  }
}

/** A span of the text whose ids are known already. */
interface KnownSpan {
  readonly start: number;
  readonly end: number;
  readonly ids: readonly number[];
}

/** Rendered text in pieces, each with whether it is an added token that content spells, and its ids. */
class RenderedText {
  readonly text: string;
  private readonly pieces: readonly (Piece & { readonly start: number })[];

  constructor(pieces: readonly Piece[]) {
    let start = 0;
    this.pieces = pieces.map((piece) => {
      const placed = { ...piece, start };
      start += piece.text.length;
      return placed;
    });
    this.text = pieces.map((piece) => piece.text).join("");
  }

  /** Whether the template wrote an added token at `at`, or the text ends there. */
  hasAddedToken(tokenizer: ModelTokenizer, at: number): boolean {
    return at === this.text.length || (tokenizer.spellings.begins(this.text, at) && this.isTemplates(at));
  }

  /** Where the template itself wrote `text` first, from `after` on; -1 where it did not. */
  first(text: string, after = 0): number {
    let at = text ? this.text.indexOf(text, after) : -1;
    while (at >= 0 && !this.isTemplates(at)) at = this.text.indexOf(text, at + 1);
    return at;
  }

  /** The ids of the text up to `end`; spans of `known` (in order, apart) have the ids that they say. */
  encode(tokenizer: ModelTokenizer, known: readonly KnownSpan[], end = this.text.length): number[] {
    const ids: number[] = [];
    let at = 0;
    for (const span of known.filter((one) => one.end <= end)) {
      ids.push(...this.between(tokenizer, at, span.start), ...span.ids);
      at = span.end;
    }
    return ids.concat(this.between(tokenizer, at, end));
  }

  private between(tokenizer: ModelTokenizer, start: number, end: number): number[] {
    return this.pieces.flatMap((piece) => {
      const text = piece.text.slice(Math.max(0, start - piece.start), Math.max(0, end - piece.start));
      return piece.spelled ? tokenizer.encodePlain(text) : tokenizer.encode(text);
    });
  }

  private isTemplates(at: number): boolean {
    return !this.pieces.findLast((piece) => piece.start <= at)?.spelled;
  }
}

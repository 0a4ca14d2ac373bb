/**
 * Messages to ids: the template's text, with what messages spell kept apart from what the template writes.
 *
 * The ids are those of the rendered text, with two exceptions. Content that spells an added token (`<|im_end|>`,
 * `<think>`) becomes plain-text ids: content can't open a turn or a thought. And a reply that was sampled here keeps the
 * ids it was sampled with.
 */

import { inputError } from "../errors.js";
import { Marks } from "./marks.js";
import type { CheckedMessage, Tool } from "./message.js";
import { type KnownSpan, RenderedText } from "./rendered.js";
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
  encode(messages: readonly CheckedMessage[], options: TemplateOptions = {}): number[] {
    const { rendered, known } = this.render(messages, options);
    return rendered.encode(this.tokenizer, known);
  }

  /**
   * Ids that every prompt begins with in which something new follows `messages`; empty where the template hides it.
   * Templates write the last reply in one way and a reply that was answered in another, so an answer is put behind them.
   */
  history(messages: readonly CheckedMessage[], options: TemplateOptions = {}): number[] {
    const role = messages.at(-1)?.tool_calls?.length ? "tool" : "user";
    const { rendered, known } = this.render([...messages, { role, content: NEXT }], options);
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

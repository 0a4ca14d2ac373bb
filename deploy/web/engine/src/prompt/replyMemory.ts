/**
 * The very ids of replies that were sampled, so that a reply in the history is fed again as it was written: a text can
 * be spelled by other ids than the ones its tokenizer gives.
 */

import type { ThinkingIds } from "../artifact/manifest.js";
import type { ModelTokenizer } from "./tokenizer.js";

const LIMIT = 1_000_000; // ids, some 10 MB
const A_TEXT = 8; // replies of one content, the latest of which are kept: tool calls often have none

/** Ids and the text they spell. */
export interface Spelling {
  readonly ids: readonly number[];
  readonly text: string;
}

/** A reply's spellings, the longest first: with its thought, without it, each also up to its first tool call. */
export function spellingsOf(
  ids: readonly number[],
  tokenizer: ModelTokenizer,
  thinking: ThinkingIds | null,
  call: number | undefined,
): Spelling[] {
  const callAt = call === undefined ? -1 : ids.indexOf(call);
  const spans = [0, answerAt(ids, tokenizer, thinking)].flatMap((start) =>
    [ids.length, ...(callAt >= 0 ? [callAt] : [])].map((end) => [start, end] as const),
  );
  const apart = new Map(spans.filter(([start, end]) => start < end).map((span) => [span.join(), span]));
  return [...apart.values()].map(([start, end]) => {
    const part = ids.slice(start, end);
    return { ids: part, text: tokenizer.decode(part) };
  });
}

/** Replies by their content, the least recently used forgotten first. */
export class ReplyMemory {
  private readonly known = new Map<string, Spelling[][]>();
  private tokens = 0;

  /** Keep a reply whose message has this content. */
  remember(content: string, reply: Spelling[]): void {
    const before = this.known.get(content) ?? [];
    const replies = [reply, ...before.filter((one) => one[0]?.text !== reply[0]?.text)].slice(0, A_TEXT);
    this.known.delete(content);
    this.known.set(content, replies);
    this.tokens += size(replies) - size(before);
    for (const [oldest, forgotten] of this.known) {
      if (this.tokens <= LIMIT) break;
      this.known.delete(oldest);
      this.tokens -= size(forgotten);
    }
  }

  /** Every spelling of replies with this content, the latest reply's first. */
  spellings(content: string): Spelling[] {
    return (this.known.get(content) ?? []).flat();
  }
}

const size = (replies: readonly Spelling[][]): number => replies.flat().reduce((sum, one) => sum + one.ids.length, 0);

/** Where the answer begins: after the thought and the newlines that end it. */
function answerAt(ids: readonly number[], tokenizer: ModelTokenizer, thinking: ThinkingIds | null): number {
  const end = thinking ? ids.lastIndexOf(thinking.end) : -1;
  if (end < 0) return 0;
  let at = end + 1;
  while (at < ids.length && /^\n*$/.test(tokenizer.decode([ids[at]!]))) at++;
  return at;
}

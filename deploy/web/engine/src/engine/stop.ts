/**
 * The wish that a reply ends. Whoever holds it may ask at any time; the reply looks before each token. A wish that comes
 * before the reply begins is kept, and none is taken back.
 *
 * | asked          | an open thought          | the reply                               |
 * |----------------|--------------------------|-----------------------------------------|
 * | nothing        | goes on                  | goes on                                 |
 * | `stopThinking` | closes at its next token | goes on with its answer                 |
 * | `cancel`       | ends at its next token   | ends at its next token, with an end     |
 * | `abandon`      | ends at its next token   | ends at its next token, without an end  |
 */
export class Stop {
  thinkingStopped = false;
  cancelled = false;
  abandoned = false;

  /** `onWish` hears of each wish, such as to tell another thread. */
  constructor(private readonly onWish: (wish: Wish) => void = () => undefined) {}

  stopThinking(): void {
    this.thinkingStopped = true;
    this.onWish("stopThinking");
  }

  cancel(): void {
    this.cancelled = true;
    this.onWish("cancel");
  }

  abandon(): void {
    this.abandoned = this.cancelled = true;
    this.onWish("abandon");
  }
}

export type Wish = "stopThinking" | "cancel" | "abandon";

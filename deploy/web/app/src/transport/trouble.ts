/**
 * What can go wrong on the way to a reply, each kind with words of its own. Any other exception is a fault of the page.
 */

/** connection: nobody answered. key: it is missing or wrong. refused: the request can't be met. */
export type TroubleKind = "connection" | "key" | "refused";

export class Trouble extends Error {
  constructor(
    readonly kind: TroubleKind,
    message: string,
  ) {
    super(message);
    this.name = "Trouble";
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** An error in a sentence for people. */
export function inWords(error: unknown): string {
  if (error instanceof Trouble) return error.message;
  return `The page has a fault: ${error instanceof Error ? error.message : String(error)}. Reload it, and please report this.`;
}

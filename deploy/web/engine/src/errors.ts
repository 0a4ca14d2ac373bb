/** What can go wrong, as callers catch it. A message says what was found, what was expected and what to do. */

export type ErrorCode = "input" | "context" | "artifact" | "unavailable" | "cancelled";

/** Every error that the engine throws on purpose. `code` tells them apart where the class is lost, as between threads. */
export class ThinkportError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "ThinkportError";
  }
}

/** A request that can't be run: the caller changes it. */
export const inputError = (message: string): ThinkportError => new ThinkportError("input", message);

/** A prompt that is longer than the model's context. */
export const contextError = (message: string): ThinkportError => new ThinkportError("context", message);

/** An artifact that is damaged, of another format, or computes wrongly. */
export const artifactError = (message: string, cause?: unknown): ThinkportError =>
  new ThinkportError("artifact", message, { cause });

/** A device, a library or memory that is not there. */
export const unavailableError = (message: string, cause?: unknown): ThinkportError =>
  new ThinkportError("unavailable", message, { cause });

/** Work that its caller ended. */
export const cancelledError = (what: string): ThinkportError =>
  new ThinkportError("cancelled", `${what} was cancelled: begin it again`);

const MEMORY = /out of memory|allocat|enlarge memory|exceeds the max|bad_alloc/i;

/** What failed, as an error: an unavailable one where browsers' or ONNX Runtime's words tell of memory, else an artifact error. */
export function failure(what: string, error: unknown, advice: string): ThinkportError {
  const words = wordsOf(error);
  return MEMORY.test(words)
    ? unavailableError(`${what}, since there is no memory left (${words}): close other pages, or begin a shorter conversation`, error)
    : artifactError(`${what} (${words}): ${advice}`, error);
}

/** The words of anything that was thrown. */
export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

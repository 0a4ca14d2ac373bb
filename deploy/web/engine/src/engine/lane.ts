/** What the token loop needs to know of a graph. */
export interface LaneLimits {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly prefillChunk: number;
}

/** One sequence that grows by steps over its KV cache. What a runtime gives the token loop; tests write a fake. */
export interface Lane extends LaneLimits {
  /** Tokens in the KV cache. */
  readonly length: number;
  /**
   * Run `ids` over the KV cache. Returns the logits after the last `keep` of them, 1 unless said otherwise, float32
   * (keep × vocabulary,), valid until the next step. Throws an artifact error where the graph fails, an unavailable one
   * where the device has no room or is lost.
   */
  step(ids: readonly number[], keep?: number): Promise<Float32Array>;
  /** Forget every token from `length` on. */
  trim(length: number): void;
  /** Have room for a sequence of so many tokens from the next step on, so that the cache grows once. */
  expect(total: number): void;
  /** Free the KV cache. */
  close(): Promise<void>;
}

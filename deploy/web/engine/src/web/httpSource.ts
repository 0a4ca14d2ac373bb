/** An artifact in a folder of a web server. */

import { type ArtifactSource, reading, type ReadOptions } from "../artifact/source.js";

export class HttpSource implements ArtifactSource {
  readonly place: string;

  /** `url` is the folder's address, of which a relative one is meant beside the page. */
  constructor(url: string) {
    const whole = new URL(url, globalThis.location?.href).href;
    this.place = whole.replace(/\/+$/, "");
  }

  async read(name: string, { range, signal }: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const url = `${this.place}/${name.split("/").map(encodeURIComponent).join("/")}`;
    const work = async (): Promise<Uint8Array<ArrayBuffer>> => {
      const headers: HeadersInit = range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {};
      const response = await fetch(url, { headers, signal: signal ?? null });
      if (!response.ok) throw new Error(`the server answers ${response.status} ${response.statusText}`.trim());
      const bytes = new Uint8Array(await response.arrayBuffer());
      return range && response.status === 200 ? bytes.subarray(range.start, range.end) : bytes; // a server without ranges
    };
    return reading(url, "is the artifact's folder served there?", work, signal);
  }
}

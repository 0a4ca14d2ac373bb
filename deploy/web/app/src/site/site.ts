/**
 * A static site's model: looked for, downloaded, kept, run, replaced and deleted. Knows the order of these; must not know
 * views.
 *
 * | state       | what is shown                          | what follows                                             |
 * |-------------|----------------------------------------|----------------------------------------------------------|
 * | looking     | nothing yet                            | refused, offer, elsewhere, fetching, failed              |
 * | refused     | why it can't run here                  | none; a model that is kept may be deleted                |
 * | offer       | its size, what the device can do       | fetching, elsewhere (another tab has it)                 |
 * | elsewhere   | what the other tab does                | fetching, once that tab is left or this one takes over   |
 * | fetching    | bytes that are there and right         | opening, fetching (the host's newer version), failed,    |
 * |             |                                        | offer (cancelled)                                        |
 * | opening     | what is checked                        | ready, fetching (the next way to run it), failed         |
 * | ready       | the page                               | moved                                                    |
 * | moved       | that another tab took it               | the page is loaded again                                 |
 * | failed      | what went wrong                        | fetching; looking, unless this tab has the lock          |
 */

import { signal } from "@preact/signals";
import { ThinkportError } from "@thinkport/engine/errors";
import { bytesOf, fetchIndex, type PieceIndex, type PieceProgress, piecesOf, PieceStore, type Way } from "@thinkport/engine/pieces";
import type { Model, OpenProgress } from "@thinkport/engine";
import { openInWorker } from "@thinkport/engine/worker/workerModel";
import { choose, type Choice, megabytes } from "./choice";
import { lookAtDevice, type Device } from "./device";
import { dropScripts, keepPage, keepScripts, reloadForThreads, scriptsOf, takeNewPage } from "./offline";
import { havePieces } from "./pieces";
import { TabLock } from "./tab_lock";

/** What a visitor is offered: `bytes` of `total` are still to be downloaded. */
export interface Offer {
  readonly name: string;
  readonly way: Way;
  readonly bytes: number;
  readonly total: number;
  readonly choice: Choice;
  /** Why it can't be downloaded; null where it can. */
  readonly problem: string | null;
}

/** Progress of a download or a check; `fetched` bytes came from the host. */
export type Share = PieceProgress;

export type SiteState =
  | { readonly kind: "looking" }
  | { readonly kind: "refused"; readonly reasons: readonly string[]; readonly kept: boolean }
  | { readonly kind: "offer"; readonly offer: Offer }
  | { readonly kind: "elsewhere"; readonly what: string }
  | { readonly kind: "fetching"; readonly share: Share | null }
  | { readonly kind: "opening"; readonly progress: OpenProgress | null }
  | { readonly kind: "ready"; readonly model: Model; readonly name: string }
  | { readonly kind: "moved" }
  | { readonly kind: "failed"; readonly problem: string };

/** A newer version on the host: `bytes` to download, how far that is, and whether it is there. */
export interface Update {
  readonly bytes: number;
  readonly share: Share | null;
  readonly done: boolean;
  readonly problem: string | null;
}

const PATIENCE = 30_000; // ms that a host has for its list of files
const LITTLE = 4000; // where a model or an older list is at hand

export class Site {
  readonly state = signal<SiteState>({ kind: "looking" });
  readonly update = signal<Update | null>(null);
  /** What the model takes of this device's storage, in bytes; and whether the browser may delete it. */
  readonly kept = signal<{ readonly bytes: number; readonly lasting: boolean } | null>(null);
  /** Whether a newer page is kept already, and whether other tabs that show the old one are in its way. */
  readonly newPage = signal<"here" | "others" | null>(null);
  device: Device | null = null;

  private readonly base = new URL("./", document.baseURI).href;
  private readonly store = new PieceStore(`thinkport/${encodeURIComponent(new URL(this.base).pathname)}`);
  private readonly lock: TabLock | null;
  private index: PieceIndex | null = null;
  private latest: PieceIndex | null = null;
  /** A version that is damaged or computes wrongly: where it is the one that is kept, what the host has goes first. */
  private broken: string | null = null;
  private working = new AbortController();
  private updating = new AbortController();
  private engine: Worker | null = null;

  constructor() {
    const secure = "locks" in navigator && typeof BroadcastChannel !== "undefined";
    this.lock = secure ? new TabLock(`thinkport ${this.base}`, (what) => this.heard(what), () => this.lost()) : null;
  }

  /** Look at the device, at what is kept and at what the host has. */
  async start(): Promise<void> {
    try {
      this.device = await lookAtDevice();
      if (this.device.lacking !== null) return this.refuse([this.device.lacking], false);
      keepPage(() => this.state.value.kind === "offer" && reloadForThreads(), () => (this.newPage.value ??= "here"));
      const kept = await this.keptIndex();
      const latest = await fetchIndex(this.base, kept === null ? PATIENCE : LITTLE).catch((error: unknown) => error as Error);
      if (latest instanceof Error && kept === null) throw latest;
      this.latest = latest instanceof Error ? null : latest;
      this.index = kept ?? this.latest;
      if (this.index === null) throw new Error("The site can't be reached, and no model is kept on this device. Open it again when there is a network.");
      const choice = choose(this.index, this.device);
      if (!choice.ways.length) return this.refuse(reasonsOf(choice), kept !== null);
      if (kept === null) await this.offer(this.index, choice);
      else await this.begin();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Have the model in this tab: download what is missing, and run it. */
  async begin(): Promise<void> {
    try {
      void navigator.storage.persist?.().catch(() => false);
      if (!(await this.lock!.take())) {
        this.state.value = { kind: "elsewhere", what: "is open" };
        await this.lock!.wait();
      }
      await this.run();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Have it here, not in the tab that has it. */
  async takeOver(): Promise<void> {
    try {
      await this.lock!.steal();
      await this.run();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Try again after a failure: from the beginning, unless this tab has the model already. */
  async again(): Promise<void> {
    this.state.value = { kind: "looking" };
    await (this.lock?.held ? this.run().catch((error: unknown) => this.fail(error)) : this.start());
  }

  /** End a download; what came stays for the next time. */
  cancel(): void {
    this.working.abort(new Cancelled());
  }

  /** Download what the host has by now while the model in use goes on: the version that was offered may be replaced already. */
  async fetchUpdate(): Promise<void> {
    const { index } = this;
    const update = this.update.value;
    if (index === null || update === null || update.share !== null) return;
    const tell = (share: Share): void => void (this.update.value = { ...update, share, problem: null });
    tell({ done: 0, total: 1, fetched: 0 });
    this.updating = new AbortController();
    try {
      const came = await this.haveNewest(index, tell, this.updating.signal);
      this.update.value = came ? { ...update, done: true } : null;
    } catch (error) {
      if (error instanceof Cancelled) return;
      const left = await this.newer(index).catch(() => null);
      this.update.value = { ...(left ?? update), problem: wordsOf(error) };
    }
  }

  /** Load the newer page, unless another tab shows the old one. */
  async loadNewPage(): Promise<void> {
    if (!(await takeNewPage())) this.newPage.value = "others";
  }

  /** Delete the model from this device, and begin again. Conversations stay. */
  async remove(): Promise<void> {
    if (!this.lock!.held && !(await this.lock!.take())) throw new Error("Another tab has the model: delete it there.");
    this.updating.abort(new Cancelled());
    this.engine?.terminate();
    try {
      await patiently(() => this.store.clear());
      await dropScripts(this.base);
      location.reload();
    } catch (error) {
      this.fail(error); // the engine is gone
    }
  }

  /** The same where it can't run; what goes wrong is shown. */
  async removeUnused(): Promise<void> {
    await this.remove().catch((error: unknown) => this.refuse([wordsOf(error)], true));
  }

  private async keptIndex(): Promise<PieceIndex | null> {
    try {
      return await this.store.index();
    } catch (error) {
      throw new Error(`This browser keeps no files for this page (${wordsOf(error).replace(/\.$/, "")}). A private window may be the reason: open it in another one.`);
    }
  }

  /** What to run: another tab may have replaced what is kept since this one looked, or where nothing usable is, the host its list. */
  private async currentIndex(): Promise<PieceIndex | null> {
    const kept = await this.keptIndex();
    if (kept !== null && kept.version !== this.index?.version) [this.index, this.latest] = [kept, null];
    if (kept === null || kept.version === this.broken) {
      const latest = await fetchIndex(this.base, LITTLE).catch((error: unknown) => error as Error);
      if (latest instanceof Error && kept === null) throw latest;
      if (latest !== null && !(latest instanceof Error)) this.index = this.latest = latest;
    }
    return this.index;
  }

  private async offer(index: PieceIndex, choice: Choice): Promise<void> {
    const way = choice.ways[0]!;
    const total = bytesOf(piecesOf(index, way.files));
    const bytes = await this.missing(index, way);
    const room = this.device?.room ?? null;
    const problem = room !== null && room < bytes ? `It needs ${megabytes(bytes)} of storage, and this browser has ${megabytes(room)} left for this page. Free some space, then load the page again.` : null;
    this.state.value = { kind: "offer", offer: { name: index.name, way, bytes, total, choice, problem } };
  }

  /** Run the model in the first way that works; the lock is this tab's. Versions that were `tried` are not tried again. */
  private async run(tried = new Set<string>()): Promise<void> {
    const index = await this.currentIndex();
    const { device } = this;
    if (index === null || device === null || !this.lock!.held) return;
    this.working = new AbortController();
    const { signal } = this.working;
    const problems: unknown[] = [];
    tried.add(index.version);
    const choice = choose(index, device);
    if (!choice.ways.length) {
      this.lock!.letGo();
      return this.refuse(reasonsOf(choice), true);
    }
    for (const way of choice.ways) {
      let here = false;
      try {
        this.state.value = { kind: "fetching", share: null };
        await this.have(index, way, (share) => this.fetching(share), signal);
        here = true;
        if (reloadForThreads()) return;
        const model = await this.open(index, way, signal);
        signal.throwIfAborted(); // another tab took it meanwhile
        return this.opened(index, model);
      } catch (error) {
        const replaced = !here && isDamage(error) && !signal.aborted && (await this.isReplaced(index, tried));
        if (this.state.value.kind === "moved") return;
        if (signal.aborted) {
          this.lock!.letGo();
          return await this.offer(index, choice);
        }
        if (replaced) return this.run(tried);
        problems.push(error);
      }
    }
    this.broken = problems.every(isDamage) ? index.version : null;
    throw new Error([...new Set(problems.map(wordsOf))].join(" "));
  }

  /** Whether the host has a version instead of this one, of which pieces can't be had, that was not tried yet. */
  private async isReplaced({ version }: PieceIndex, tried: ReadonlySet<string>): Promise<boolean> {
    this.broken = version;
    const current = await this.currentIndex().catch(() => null);
    return current !== null && !tried.has(current.version);
  }

  /** Have all that a way needs, checked and kept. */
  private async have(index: PieceIndex, way: Way, onProgress: (share: Share) => void, signal: AbortSignal): Promise<void> {
    await havePieces({ folder: this.store.folder, base: this.base, pieces: piecesOf(index, way.files), keep: index }, signal, onProgress);
    await keepScripts(index, this.base).catch(() => undefined); // what is missing is told when it is imported
    signal.throwIfAborted();
  }

  private async open(index: PieceIndex, way: Way, signal: AbortSignal): Promise<Model> {
    this.state.value = { kind: "opening", progress: null };
    this.lock!.tell("is being opened");
    const source = { kind: "pieces", folder: this.store.folder } as const;
    const worker = new Worker(new URL("./engine_worker.ts", import.meta.url), { type: "module" });
    this.engine?.terminate();
    this.engine = worker;
    const request = { source, binaries: source, ort: scriptsOf(index, this.base), provider: way.provider, graph: way.graph, contextLength: way.tokens };
    const onProgress = (progress: OpenProgress): void => {
      if (this.state.value.kind === "opening") this.state.value = { kind: "opening", progress };
    };
    try {
      return await openInWorker(worker, request, { signal, onProgress });
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /** Show the page; what else is told of the model is no reason to run another. */
  private opened(index: PieceIndex, model: Model): void {
    this.lock!.tell("runs");
    this.state.value = { kind: "ready", model, name: index.name };
    void this.tellKept(index).catch(() => undefined);
  }

  /** Tell what the model takes of this device, and of a newer version. */
  private async tellKept(index: PieceIndex): Promise<void> {
    const lasting = (await navigator.storage.persisted?.().catch(() => false)) ?? false;
    const sizes = await this.store.sizes();
    this.kept.value = { bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0), lasting };
    this.update.value = await this.newer(index);
  }

  /** What the host has in place of a version; null where that is the same, or can't run here. */
  private async newer(index: PieceIndex): Promise<Update | null> {
    const { latest, device } = this;
    const way = latest === null || device === null ? undefined : choose(latest, device).ways[0];
    if (latest === null || latest.version === index.version || way === undefined) return null;
    return { bytes: await this.missing(latest, way), share: null, done: false, problem: null };
  }

  /** Have the host's version; begins again where it is replaced in the middle. Returns false where it is the one in use. */
  private async haveNewest(used: PieceIndex, onProgress: (share: Share) => void, signal: AbortSignal): Promise<boolean> {
    let failed = { version: "", error: null as unknown };
    for (;;) {
      const latest = (await fetchIndex(this.base, LITTLE)) ?? this.latest;
      signal.throwIfAborted();
      this.latest = latest;
      if (latest === null || latest.version === used.version) return false;
      if (latest.version === failed.version) throw failed.error;
      const choice = choose(latest, this.device!);
      const [way] = choice.ways;
      if (way === undefined) throw new Error(`The new version can't run here. ${reasonsOf(choice).join(" ")}`);
      try {
        await this.have(latest, way, onProgress, signal);
        return true;
      } catch (error) {
        if (signal.aborted) throw error;
        failed = { version: latest.version, error };
      }
    }
  }

  /** Bytes of a way's files that are still to be downloaded. */
  private async missing(index: PieceIndex, way: Way): Promise<number> {
    const sizes = await this.store.sizes();
    return bytesOf(piecesOf(index, way.files).filter((piece) => sizes.get(piece.sha256) !== piece.bytes));
  }

  private fetching(share: Share): void {
    if (this.state.value.kind !== "fetching") return;
    this.state.value = { kind: "fetching", share };
    this.lock!.tell(share.fetched ? `is being downloaded, ${Math.floor((100 * share.done) / share.total)} %` : "is being checked");
  }

  private heard(what: string): void {
    if (this.state.value.kind === "elsewhere") this.state.value = { kind: "elsewhere", what };
  }

  /** Another tab took the model. */
  private lost(): void {
    this.state.value = { kind: "moved" };
    this.working.abort(new Cancelled());
    this.updating.abort(new Cancelled()); // it would delete pieces of the version that the other tab runs
    this.engine?.terminate();
  }

  private refuse(reasons: readonly string[], kept: boolean): void {
    this.state.value = { kind: "refused", reasons, kept };
  }

  /** Show what went wrong. */
  fail(error: unknown): void {
    this.state.value = { kind: "failed", problem: wordsOf(error) };
  }
}

class Cancelled extends Error {}

/** Whether the model itself is at fault, not this device or the network, where the same works another time. */
const isDamage = (error: unknown): boolean => error instanceof ThinkportError && error.code === "artifact";

/** Work on files that a worker which was ended a moment ago may still hold. */
async function patiently(work: () => Promise<void>): Promise<void> {
  for (let left = 20; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const NAMES = { webgpu: "On the GPU", wasm: "On the processor" };

/** Why ways don't suit the device, a sentence a reason. */
export const reasonsOf = ({ refusals }: Choice): string[] => [...new Set(refusals.map(({ provider, reason }) => `${NAMES[provider]}: ${reason}.`))];

/** An error as a sentence. */
function wordsOf(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  const first = /^\w+:\/\//.test(words) ? words.charAt(0) : words.charAt(0).toUpperCase(); // an address stays as it is
  return `${first}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}

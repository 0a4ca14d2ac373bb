/** What a static site shows while its model is not open: its size, what the device can do, how far the download is. */

import type { OpenProgress } from "@thinkport/engine";
import { gigabytes, megabytes, slowness } from "./choice";
import type { Device } from "./device";
import { NewPage } from "./NewVersion";
import { type Offer, reasonsOf, type Share, type Site } from "./site";

export function Gate({ site }: { site: Site }) {
  return (
    <main class="start">
      <div class="inside">
        <Now site={site} />
        <NewPage site={site} />
      </div>
    </main>
  );
}

function Now({ site }: { site: Site }) {
  const state = site.state.value;
  switch (state.kind) {
    case "offer":
      return <Offered offer={state.offer} device={site.device!} begin={() => void site.begin()} />;
    case "refused":
      return (
        <>
          <h1>The model can't run here</h1>
          {state.reasons.map((reason) => <p key={reason} class="problem" role="alert">{reason}</p>)}
          <p>Nothing was downloaded by this visit.</p>
          {state.kept && <button type="button" class="plain danger" onClick={() => void site.removeUnused()}>Delete the model from this device</button>}
        </>
      );
    case "elsewhere":
      return (
        <>
          <h1>Open in another tab</h1>
          <p role="status">The model {state.what} in another tab of this page. Go on there, or take it over: that tab stops then.</p>
          <button type="button" class="main" onClick={() => void site.takeOver()}>Use it here</button>
        </>
      );
    case "fetching":
      return <Fetching share={state.share} cancel={() => site.cancel()} />;
    case "opening":
      return <Opening progress={state.progress} />;
    case "moved":
      return (
        <>
          <h1>Moved to another tab</h1>
          <p role="status">Another tab of this page has the model now. What was written here is kept.</p>
          <button type="button" class="plain" onClick={() => location.reload()}>Load this tab again</button>
        </>
      );
    case "failed":
      return (
        <>
          <h1>That did not work</h1>
          <p class="problem" role="alert">{state.problem}</p>
          <button type="button" class="main" onClick={() => void site.again()}>Try again</button>
        </>
      );
    default:
      return <p role="status">Looking at this device…</p>;
  }
}

function Offered({ offer, device, begin }: { offer: Offer; device: Device; begin: () => void }) {
  const { way, bytes, total, choice, problem } = offer;
  const begun = bytes < total;
  const slow = slowness(way, total);
  return (
    <>
      <h1>{offer.name}, in this browser</h1>
      <p>
        The model is downloaded once and kept on this device, where it works without a network too. What you write stays here.
      </p>
      <dl class="facts">
        <dt>Download</dt>
        <dd>{begun ? `${megabytes(bytes)} of ${megabytes(total)} are still to come` : megabytes(total)}</dd>
        <dt>Runs on</dt>
        <dd>{way.provider === "webgpu" ? "this device's GPU (WebGPU)" : `this device's processor (WebAssembly), ${threads(device)}`}</dd>
        {slow !== null && (
          <>
            <dt>Speed</dt>
            <dd>slow: about {slow} for each word or part of one, as estimated from its size</dd>
          </>
        )}
        <dt>Memory</dt>
        <dd>about {gigabytes(way.memory)}; {device.memory === null ? "this browser doesn't say how much there is" : `this browser tells of ${device.memory / 2 ** 30} GB`}</dd>
      </dl>
      {problem !== null && <p class="problem" role="alert">{problem}</p>}
      <button type="button" class="main" disabled={problem !== null} onClick={begin}>{begun ? "Go on with the download" : `Download ${megabytes(total)}`}</button>
      {choice.refusals.length > 0 && (
        <details>
          <summary>What can't be used here</summary>
          {reasonsOf(choice).map((reason) => <p key={reason} class="note">{reason}</p>)}
        </details>
      )}
      <p class="note">Tried in Chromium and Firefox on Linux. No phone was tried.</p>
    </>
  );
}

function threads({ threads: count, isolated }: Device): string {
  if (!isolated) return "one thread: the host sends no headers that allow more";
  return count === 1 ? "one thread: there is one processor, or this browser lets pages share no memory" : `${count} threads`;
}

function Fetching({ share, cancel }: { share: Share | null; cancel: () => void }) {
  const coming = share !== null && share.fetched > 0;
  const what = coming ? "Downloading the model" : "Checking what is here";
  return (
    <>
      <h1>{what}</h1>
      <p role="status">{share === null ? "…" : `${megabytes(share.done)} of ${megabytes(share.total)}`}</p>
      <progress max={share?.total ?? 1} aria-label={what} {...(share === null ? {} : { value: share.done })} />
      <button type="button" class="plain" onClick={cancel}>Cancel</button>
      {coming && <p class="note">You may leave this page: pieces that came whole are kept, and the download goes on from there.</p>}
    </>
  );
}

const STAGES = { files: "Reading the model", session: "Preparing the model", goldens: "Checking its answers, once" };

function Opening({ progress }: { progress: OpenProgress | null }) {
  const what = progress === null ? "Opening the model" : STAGES[progress.stage];
  const value = progress === null || progress.stage === "session" ? null : progress.done / progress.total;
  return (
    <>
      <h1>{what}</h1>
      <progress max={1} aria-label={what} {...(value === null ? {} : { value })} />
    </>
  );
}

/** That the host has a newer page or a newer model, and the change to it; above the message box. */

import { megabytes } from "./choice";
import type { Site } from "./site";

export function News({ site }: { site: Site }) {
  return (
    <>
      <NewPage site={site} />
      <NewVersion site={site} />
    </>
  );
}

/** A newer page, which is here already. */
export function NewPage({ site }: { site: Site }) {
  if (site.newPage.value === null) return null;
  return (
    <div class="newer" role="status">
      <p>
        {site.newPage.value === "here"
          ? "A new version of this page is here. It comes once all tabs of the page are closed."
          : "Another tab shows this page: close all others, then load the new version, or close this one too."}
      </p>
      <button type="button" class="plain" onClick={() => void site.loadNewPage()}>Load the new page</button>
    </div>
  );
}

/** A newer model, which is downloaded first. */
function NewVersion({ site }: { site: Site }) {
  const update = site.update.value;
  if (update === null) return null;
  const { share, done, problem, bytes } = update;
  return (
    <div class="newer" role="status">
      {problem !== null && <p class="problem">{problem}</p>}
      {done ? (
        <p>The new version of the model is here. This one goes on until the page is loaded again.</p>
      ) : share !== null && problem === null ? (
        <>
          <p>The new version is being downloaded.</p>
          <progress max={share.total} value={share.done} aria-label="Download of the new version" />
        </>
      ) : (
        <p>There is a new version of the model, {bytes < 50_000 ? "with next to nothing" : megabytes(bytes)} to download.</p>
      )}
      {done && <button type="button" class="plain" onClick={() => location.reload()}>Use it now</button>}
      {!done && (share === null || problem !== null) && <button type="button" class="plain" onClick={() => void site.fetchUpdate()}>Download</button>}
    </div>
  );
}

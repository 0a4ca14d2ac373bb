/** Above the message box: that the host has a newer model, its download, and the change to it. */

import { megabytes } from "./choice";
import type { Site } from "./site";

export function NewVersion({ site }: { site: Site }) {
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
        <p>There is a new version of the model, {megabytes(bytes)} to download.</p>
      )}
      {done && <button type="button" class="plain" onClick={() => location.reload()}>Use it now</button>}
      {!done && (share === null || problem !== null) && <button type="button" class="plain" onClick={() => void site.fetchUpdate()}>Download</button>}
    </div>
  );
}

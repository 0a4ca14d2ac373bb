/** What the desktop window shows while no artifact is open: how to open one, those of before, and how far it is. */

import { Icon } from "../view/Icon";
import { usePage } from "../view/context";
import type { Opening } from "./host";

export function Start() {
  const { host } = usePage();
  const opening = host.opening.value;
  if (opening === null) return null;
  return (
    <main class="start">
      <div class="inside">
        <h1>{opening.progress ? opening.progress.name : "Open an artifact"}</h1>
        {opening.progress ? <Progress {...opening.progress} /> : <Choices opening={opening} />}
      </div>
    </main>
  );
}

function Progress({ what, share }: { what: string; share: number | null }) {
  return (
    <>
      <p role="status">{what}</p>
      <progress max={1} aria-label={what} {...(share === null ? {} : { value: share })} />
    </>
  );
}

function Choices({ opening }: { opening: Opening }) {
  const { host, panels } = usePage();
  return (
    <>
      {opening.problem ? <p class="problem" role="alert">{opening.problem}</p> : <p>An artifact is a folder that <code>thinkport export</code> wrote.</p>}
      <button type="button" class="main" onClick={() => panels.attempt(host.open(null))}><Icon name="folder" /> Open a folder…</button>
      {opening.back && <button type="button" class="plain" onClick={() => void host.back()}>Back to the conversation</button>}
      {opening.recent.length > 0 && <h2>Opened before</h2>}
      <ul class="recent">
        {opening.recent.map(({ name, folder }) => (
          <li key={folder}>
            <button type="button" onClick={() => panels.attempt(host.open(folder))}>
              <strong>{name}</strong>
              <span>{folder}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

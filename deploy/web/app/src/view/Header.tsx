/** What is open, and what runs: the model, where it runs, and whether it can be reached. */

import { Icon } from "./Icon";
import { usePage } from "./context";
import type { ConnectionState } from "../transport/connection";

const TOLD: Record<ConnectionState, string> = {
  connecting: "connecting…",
  ready: "",
  key: "needs a key",
  ending: "the server is ending",
  lost: "no connection, trying again…",
  refused: "the model can't be opened",
  fault: "the server's answer can't be read",
};

export function Header() {
  const { talk, panels } = usePage();
  const { about, state, problem } = talk.connection;
  const bad = ["lost", "refused", "fault", "ending"].includes(state.value);
  return (
    <header class="top">
      {!panels.sidebar.value && (
        <>
          <button type="button" class="quiet" aria-label="Show conversations" onClick={() => (panels.sidebar.value = true)}>
            <Icon name="menu" />
          </button>
          <button type="button" class="quiet" aria-label="New chat" onClick={() => talk.library.begin()}>
            <Icon name="compose" />
          </button>
        </>
      )}
      <h1>{talk.library.open.value.title || "New chat"}</h1>
      <button type="button" class={bad ? "model bad" : "model"} title={problem.value ?? about.value?.reason ?? ""} onClick={() => (panels.settings.value = true)}>
        <span class="dot" aria-hidden="true" />
        <span class="name">{about.value?.model ?? "thinkport"}</span>
        <span class="where" role="status">{TOLD[state.value] || about.value?.runsOn}</span>
      </button>
      <button type="button" class="quiet" aria-label="Settings" onClick={() => (panels.settings.value = true)}>
        <Icon name="settings" />
      </button>
    </header>
  );
}

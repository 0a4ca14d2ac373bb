/** The whole page: the list of conversations, the open one, and the panels over both. */

import { useEffect } from "preact/hooks";
import "../style/base.css";
import "../style/page.css";
import "../style/thread.css";
import "../style/markdown.css";
import "../style/panels.css";
import "../style/input.css";
import { Composer } from "./Composer";
import { Failure } from "./Failure";
import { Header } from "./Header";
import { KeyDialog } from "./KeyDialog";
import { Settings } from "./Settings";
import { Sidebar } from "./Sidebar";
import { Thread } from "./Thread";
import { usePage } from "./context";
import { Start } from "../window/Start";

export function App() {
  const { talk, panels, host } = usePage();
  const { about, state } = talk.connection;
  useTitle(about.value?.model);
  useTheme(talk.library.preferences.value.theme);
  if (host.opening.value) return <Start />;
  return (
    <div class={panels.sidebar.value ? "page with-sidebar" : "page"}>
      <a class="skip" href="#message">Skip to the message box</a>
      <Sidebar />
      <main>
        <Header />
        <Thread key={talk.library.open.value.id} />
        <div class="dock">
          <Failure />
          <Composer key={`composer-${talk.library.open.value.id}`} />
        </div>
      </main>
      <Settings />
      {state.value === "key" && <KeyDialog />}
      <p class="off-screen" role="status" aria-live="polite">{talk.spoken.value}</p>
    </div>
  );
}

function useTitle(model: string | undefined): void {
  useEffect(() => {
    document.title = model ? `${model} · thinkport` : "thinkport";
  }, [model]);
}

function useTheme(theme: string): void {
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
}

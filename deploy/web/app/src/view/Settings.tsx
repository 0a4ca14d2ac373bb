/** The panel of settings: this conversation, this device, and what runs. */

import { useEffect, useRef } from "preact/hooks";
import { asJson } from "../conversation/export";
import type { Theme } from "../conversation/store";
import { Icon } from "./Icon";
import { ModelFacts } from "./ModelFacts";
import { SamplingFields } from "./SamplingFields";
import { usePage } from "./context";

export function Settings() {
  const { panels } = usePage();
  const dialog = useRef<HTMLDialogElement>(null);
  const open = panels.settings.value;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  const close = () => (panels.settings.value = false);
  return (
    <dialog class="settings" ref={dialog} aria-labelledby="settings-title" onClose={close} onClick={(event) => event.target === dialog.current && close()}>
      {open && (
        <div class="inside">
          <div class="row head">
            <h2 id="settings-title">Settings</h2>
            <button type="button" class="quiet" aria-label="Close settings" onClick={close}><Icon name="close" /></button>
          </div>
          <ThisConversation />
          <ThisDevice />
          <ModelFacts />
        </div>
      )}
    </dialog>
  );
}

function ThisConversation() {
  const { talk } = usePage();
  const { id, title, system } = talk.library.open.value;
  return (
    <section>
      <h3>This conversation</h3>
      <label>
        Title
        <input type="text" dir="auto" value={title} placeholder="New chat" onInput={(event) => { const next = event.currentTarget.value; talk.library.change(id, (before) => ({ ...before, title: next })); }} />
      </label>
      <label>
        System prompt
        <textarea dir="auto" rows={4} value={system} placeholder="What the model is told before everything else" onInput={(event) => { const next = event.currentTarget.value; talk.library.change(id, (before) => ({ ...before, system: next })); }} />
      </label>
      <SamplingFields />
    </section>
  );
}

function ThisDevice() {
  const { talk, host, panels } = usePage();
  const { library } = talk;
  const many = library.conversations.value.length;
  const removeAll = () => {
    if (confirm(`Delete all ${many} conversations from this device? This can't be undone.`)) library.conversations.value.forEach((one) => talk.remove(one));
  };
  return (
    <section>
      <h3>This device</h3>
      <label>
        Colours
        <select value={library.preferences.value.theme} onChange={(event) => library.prefer({ theme: event.currentTarget.value as Theme })}>
          <option value="system">As the system has them</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
      <div class="row">
        <button type="button" class="plain" disabled={many === 0} onClick={() => panels.attempt(host.save("conversations.json", asJson(library.conversations.value)))}>Export all ({many})</button>
        <button type="button" class="plain danger" disabled={many === 0} onClick={removeAll}>Delete all</button>
      </div>
      <p class="note">Enter sends (on a touch screen it begins a line), Shift+Enter begins a line, Escape stops a reply, Ctrl+Shift+O begins a chat.</p>
    </section>
  );
}

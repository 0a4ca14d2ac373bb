/** What a person asked; it can be edited, which asks anew and keeps the old branch. */

import { useState } from "preact/hooks";
import type { Message } from "../conversation/conversation";
import { CopyButton } from "./CopyButton";
import { Icon } from "./Icon";
import { Versions } from "./Versions";
import { usePage } from "./context";
import { sends } from "./keys";

export function Question({ message }: { message: Message }) {
  const { talk } = usePage();
  const [editing, setEditing] = useState(false);
  return (
    <article class="turn question">
      <h2 class="off-screen">You asked</h2>
      {editing ? (
        <Edit message={message} onDone={() => setEditing(false)} />
      ) : (
        <>
          <div class="said" dir="auto">{message.text}</div>
          <div class="actions">
            <Versions message={message} />
            <CopyButton text={message.text} what="Copy the question" />
            <button type="button" class="quiet" aria-label="Edit the question" title="Edit the question" disabled={talk.run.value !== null} onClick={() => setEditing(true)}>
              <Icon name="edit" />
            </button>
          </div>
        </>
      )}
    </article>
  );
}

function Edit({ message, onDone }: { message: Message; onDone: () => void }) {
  const { talk } = usePage();
  const [text, setText] = useState(message.text);
  const send = () => {
    if (!text.trim()) return;
    onDone();
    talk.edit(message, text.trim());
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") onDone();
    if (sends(event)) {
      event.preventDefault();
      send();
    }
  };
  return (
    <div class="edit">
      <textarea aria-label="Edit the question" dir="auto" rows={Math.min(8, text.split("\n").length + 1)} value={text} ref={(area) => void area?.focus()} onInput={(event) => setText(event.currentTarget.value)} onKeyDown={onKeyDown} />
      <div class="row end">
        <button type="button" class="plain" onClick={onDone}>Cancel</button>
        <button type="button" class="main" onClick={send}>Ask again</button>
      </div>
    </div>
  );
}

/** What a person asked; it can be edited, which asks anew and keeps the old branch. */

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Message } from "../conversation/conversation";
import { grow } from "./Composer";
import { CopyButton } from "./CopyButton";
import { Icon } from "./Icon";
import { Versions } from "./Versions";
import { usePage } from "./context";
import { sends } from "./keys";

export function Question({ message }: { message: Message }) {
  const { talk } = usePage();
  const [editing, setEditing] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const edited = useRef(false);
  useLayoutEffect(() => {
    if (edited.current && !editing) button.current?.focus(); // the box that had the focus is gone
    edited.current = editing;
  }, [editing]);
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
            <button type="button" ref={button} class="quiet" aria-label="Edit the question" title="Edit the question" disabled={talk.run.value !== null} onClick={() => setEditing(true)}>
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
  const area = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(message.text);
  useLayoutEffect(() => area.current?.focus(), []); // before a key that follows at once
  useLayoutEffect(() => grow(area.current), [text]);
  const send = () => {
    if (!text.trim()) return;
    onDone();
    talk.edit(message, text.trim());
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const done = event.key === "Escape" ? onDone : sends(event) ? send : null;
    if (done === null) return;
    event.preventDefault();
    done();
  };
  return (
    <div class="edit">
      <textarea aria-label="Edit the question" dir="auto" rows={1} value={text} ref={area} onInput={(event) => setText(event.currentTarget.value)} onKeyDown={onKeyDown} />
      <div class="row end">
        <button type="button" class="plain" onClick={onDone}>Cancel</button>
        <button type="button" class="main" onClick={send}>Ask again</button>
      </div>
    </div>
  );
}

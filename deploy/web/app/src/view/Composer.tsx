/** Where a message is written, how its reply may think, and the buttons that begin and end the reply. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./Icon";
import { ThinkingControls } from "./ThinkingControls";
import { usePage } from "./context";
import { sends } from "./keys";

/** What was begun in each conversation and not sent; a reply never touches it. */
const drafts = signal<ReadonlyMap<string, string>>(new Map());

export function Composer() {
  const { talk } = usePage();
  const area = useRef<HTMLTextAreaElement>(null);
  const { id } = talk.library.open.value;
  const text = drafts.value.get(id) ?? "";
  const run = talk.run.value;
  const { state, about } = talk.connection;
  const able = state.value === "ready" && about.value?.chats !== false;
  const write = (next: string) => (drafts.value = new Map([...drafts.value, [id, next]]));
  const send = () => {
    if (!text.trim() || run || !able) return;
    write("");
    talk.send(text.trim());
  };
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current?.focus();
  }, []);
  useEffect(() => grow(area.current), [text]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (sends(event)) {
      event.preventDefault();
      send();
    }
  };
  return (
    <form class="composer" autocomplete="off" onSubmit={(event) => { event.preventDefault(); send(); }}>
      <textarea id="message" ref={area} aria-label="Message" dir="auto" rows={1} placeholder={`Ask ${about.value?.model ?? "something"}`} value={text} onInput={(event) => write(event.currentTarget.value)} onKeyDown={onKeyDown} />
      <div class="row">
        {about.value?.canThink && <ThinkingControls />}
        <span class="space" />
        {run?.part.value === "thinking" && (
          <button type="button" class="plain answer-now" onClick={() => void run.answerNow()}>Answer now</button>
        )}
        {run ? (
          <button type="button" class="round stop" aria-label="Stop" title="Stop (Escape)" disabled={run.stopping.value} onClick={() => void run.stop()}>
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="round" aria-label="Send" title="Send" disabled={!able || !text.trim()}>
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}

/** Make a text box as high as its text. */
export function grow(area: HTMLTextAreaElement | null): void {
  if (!area) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

/** The list of conversations: begin, search, open, export, delete. */

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Conversation } from "../conversation/conversation";
import { found } from "../conversation/library";
import { asMarkdown, fileName } from "../conversation/export";
import { Icon } from "./Icon";
import { usePage } from "./context";

const search = signal("");
const deleted = signal<Conversation | null>(null);
const UNDO = 8000; // ms
const DAY = 86_400_000;

export function Sidebar() {
  const { talk, panels } = usePage();
  if (!panels.sidebar.value) return null;
  const listed = found(talk.library.sorted.value, search.value);
  const begin = () => {
    talk.library.begin();
    panels.chosen();
  };
  return (
    <>
      <div class="shade" onClick={() => (panels.sidebar.value = false)} />
      <nav class="sidebar" aria-label="Conversations">
        <div class="row">
          <button type="button" class="quiet" aria-label="Hide conversations" onClick={() => (panels.sidebar.value = false)}>
            <Icon name="menu" />
          </button>
          <button type="button" class="begin" onClick={begin}>
            <Icon name="compose" /> New chat
          </button>
        </div>
        <label class="search">
          <Icon name="search" />
          <input type="search" placeholder="Search" aria-label="Search conversations" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
        </label>
        <div class="list">
          {groups(listed).map(([name, conversations]) => (
            <section key={name}>
              <h2>{name}</h2>
              <ul>{conversations.map((one) => <Entry key={one.id} conversation={one} />)}</ul>
            </section>
          ))}
          {listed.length === 0 && <p class="note">{search.value ? "Nothing found." : "Conversations stay on this device and show up here."}</p>}
        </div>
        {talk.library.unkept.value !== null && <p class="note bad" role="alert">{talk.library.unkept.value}</p>}
        <Undo />
      </nav>
    </>
  );
}

function Entry({ conversation }: { conversation: Conversation }) {
  const { talk, panels, host } = usePage();
  const open = talk.library.open.value.id === conversation.id;
  const title = conversation.title || "Untitled";
  const show = () => {
    talk.library.show(conversation.id);
    panels.chosen();
  };
  return (
    <li class={open ? "entry open" : "entry"}>
      <button type="button" class="title" dir="auto" aria-current={open ? "true" : undefined} onClick={show}>
        {talk.runs.value.has(conversation.id) && <span class="dot live" role="img" aria-label="a reply is being written" />}
        {title}
      </button>
      <button type="button" class="quiet small" aria-label={`Export ${title}`} title="Export as Markdown" onClick={() => panels.attempt(host.save(fileName(conversation, "md"), asMarkdown(conversation)))}>
        <Icon name="export" />
      </button>
      <button type="button" class="quiet small" aria-label={`Delete ${title}`} title="Delete" onClick={() => remove(conversation)}>
        <Icon name="trash" />
      </button>
    </li>
  );

  function remove(one: Conversation): void {
    talk.remove(one);
    deleted.value = one;
    setTimeout(() => deleted.value === one && (deleted.value = null), UNDO);
  }
}

function Undo() {
  const { talk } = usePage();
  const one = deleted.value;
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => button.current?.focus(), [one]); // the button that was pressed is gone
  if (one === null) return null;
  const undo = () => {
    talk.library.restore(one);
    deleted.value = null;
  };
  return (
    <p class="undo" role="status">
      <span>Deleted.</span>
      <button type="button" ref={button} class="link" onClick={undo}>Undo</button>
    </p>
  );
}

/** Conversations by how long ago they changed; empty groups are left out. */
function groups(conversations: Conversation[]): [string, Conversation[]][] {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const limits: [string, number][] = [
    ["Today", midnight],
    ["Yesterday", midnight - DAY],
    ["Last 7 days", midnight - 7 * DAY],
    ["Older", -Infinity],
  ];
  const all = limits.map(([name, from], at): [string, Conversation[]] => {
    const below = limits[at - 1]?.[1] ?? Infinity;
    return [name, conversations.filter((one) => one.changed >= from && one.changed < below)];
  });
  return all.filter(([, listed]) => listed.length > 0);
}

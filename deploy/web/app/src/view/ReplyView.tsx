/** A reply: its thought, its answer, what it cost, and what can be done with it. */

import type { Message } from "../conversation/conversation";
import { Markdown } from "../markdown/Markdown";
import { CopyButton } from "./CopyButton";
import { Icon } from "./Icon";
import { ThoughtView } from "./ThoughtView";
import { Versions } from "./Versions";
import { costOf, endOf } from "./figures";
import { usePage } from "./context";

export function ReplyView({ message }: { message: Message }) {
  const { talk } = usePage();
  const run = talk.run.value?.message.id === message.id ? talk.run.value : null;
  const answer = run ? run.answer.value : message.text;
  const last = talk.library.open.value.leaf === message.id;
  return (
    <article class={last ? "turn reply last" : "turn reply"} aria-busy={run !== null}>
      <h2 class="off-screen">The model replied</h2>
      <ThoughtView message={message} run={run} />
      {run?.part.value === "waiting" && <p class="waiting"><span class="dot live" aria-hidden="true" /> Reading the question…</p>}
      {answer && <div class="answer"><Markdown text={answer} /></div>}
      {run === null && <Foot message={message} />}
    </article>
  );
}

function Foot({ message }: { message: Message }) {
  const { talk } = usePage();
  if (message.state === "writing") return <p class="ended">Being written in another tab…</p>;
  const end = talk.failure.value === message ? "" : endOf(message);
  return (
    <>
      {end && <p class="ended">{end}</p>}
      <div class="actions">
        <Versions message={message} />
        {message.text && <CopyButton text={message.text} what="Copy the answer" />}
        <button type="button" class="quiet" aria-label="Ask again" title="Ask again" disabled={talk.run.value !== null} onClick={() => talk.again(message)}>
          <Icon name="again" />
        </button>
        {message.figures && <span class="figures">{costOf(message.figures)}</span>}
      </div>
    </>
  );
}

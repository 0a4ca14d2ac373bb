/** Which of several versions of a message is shown. */

import { versionsOf, type Message } from "../conversation/conversation";
import { Icon } from "./Icon";
import { usePage } from "./context";

export function Versions({ message }: { message: Message }) {
  const { talk } = usePage();
  const versions = versionsOf(talk.library.open.value, message);
  if (versions.length < 2) return null;
  const at = versions.findIndex((one) => one.id === message.id);
  const step = (by: number) => {
    const next = versions[at + by];
    return { disabled: next === undefined || talk.run.value !== null, onClick: () => next && talk.version(next) };
  };
  return (
    <span class="versions" role="group" aria-label="Versions">
      <button type="button" class="quiet" aria-label="Earlier version" {...step(-1)}><Icon name="left" /></button>
      <span>{at + 1} / {versions.length}</span>
      <button type="button" class="quiet" aria-label="Later version" {...step(1)}><Icon name="right" /></button>
    </span>
  );
}

/** The conversation from top to bottom. It stays at its end while a reply grows, unless it was scrolled away. */

import { effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { pathOf } from "../conversation/conversation";
import { First } from "./First";
import { Icon } from "./Icon";
import { Question } from "./Question";
import { ReplyView } from "./ReplyView";
import { usePage } from "./context";

const NEAR = 80; // pixels from the end that count as being there

export function Thread() {
  const { talk } = usePage();
  const place = useRef<HTMLDivElement>(null);
  const { atEnd, toEnd } = useFollowing(place);
  const path = pathOf(talk.library.open.value);
  return (
    <div class="thread" ref={place} role="log" aria-live="off" aria-label="Conversation" tabIndex={0}>
      <div class="column">
        {path.length === 0 && <First />}
        {path.map((message) =>
          message.role === "user" ? <Question key={message.id} message={message} /> : <ReplyView key={message.id} message={message} />,
        )}
      </div>
      {!atEnd && path.length > 0 && (
        <button type="button" class="to-end" aria-label="Go to the end" onClick={toEnd}>
          <Icon name="arrowDown" />
        </button>
      )}
    </div>
  );
}

/** Follow what grows at the end; unfolding something further up moves nothing. */
function useFollowing(place: { current: HTMLDivElement | null }) {
  const { talk } = usePage();
  const [atEnd, setAtEnd] = useState(true);
  const following = useRef(true);
  const toEnd = () => {
    const box = place.current;
    if (box) box.scrollTop = box.scrollHeight;
  };
  useEffect(() => {
    const box = place.current;
    if (!box) return;
    const look = () => {
      following.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
      setAtEnd(following.current);
    };
    box.addEventListener("scroll", look, { passive: true });
    requestAnimationFrame(toEnd);
    return () => box.removeEventListener("scroll", look);
  }, []);
  useEffect(() => effect(() => {
    const run = talk.run.value;
    void [run?.thought.value, run?.answer.value]; // and once more when the run is over, for its figures
    if (following.current) requestAnimationFrame(toEnd);
  }), []);
  const asked = pathOf(talk.library.open.value).at(-1)?.parent;
  useEffect(() => {
    following.current = true;
    requestAnimationFrame(toEnd);
  }, [asked]);
  return { atEnd, toEnd };
}

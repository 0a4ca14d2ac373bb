/** The conversation from top to bottom. It stays at its end while a reply grows, unless it was scrolled away. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
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
    const sizes = new ResizeObserver(() => following.current && toEnd()); // formulas come after their text, and the box shrinks too
    for (const one of [box, ...box.children]) sizes.observe(one);
    let top = 0;
    const look = () => {
      const near = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
      if (near || box.scrollTop < top) following.current = near; // what grew meanwhile scrolled nobody away
      top = box.scrollTop;
      setAtEnd(following.current);
    };
    const hold = () => {
      if (talk.run.value) return;
      following.current = false; // for as long as it takes to draw what the click unfolds
      requestAnimationFrame(() => requestAnimationFrame(look));
    };
    box.addEventListener("scroll", look, { passive: true });
    box.addEventListener("click", hold);
    return () => {
      sizes.disconnect();
      box.removeEventListener("scroll", look);
      box.removeEventListener("click", hold);
    };
  }, []);
  const asked = pathOf(talk.library.open.value).at(-1)?.parent;
  useLayoutEffect(() => {
    following.current = asked !== undefined; // the first screen is read from its top
    if (following.current) toEnd();
  }, [asked]);
  return { atEnd, toEnd };
}

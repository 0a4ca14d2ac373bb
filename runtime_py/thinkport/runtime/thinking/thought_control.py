"""Keeps one reply's thought within what was asked: opens it, leaves it out, makes it end, closes it.

Two places to act: `shape` on the logits before a token is drawn, `accept` on the token that came, which may put ids
into the queue of forced ones. Knows ids; must not know messages, templates or how the next id is drawn.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from thinkport.runtime.artifact.manifest import ThinkingIds
from thinkport.runtime.engine.generation import Finish, Origin, Token
from thinkport.runtime.engine.sampling import Row
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.prompt.tokenizer import Detokenizer, Tokenizer
from thinkport.runtime.thinking.soft_closing import Boundaries, progress, raise_logit
from thinkport.runtime.thinking.thinking import Switch, Thinking, ThinkingEnd
from thinkport.runtime.thinking.thinking_switch import Opening, Part
from thinkport.runtime.thinking.thought_loops import LoopDetector

_BREAK = "\n\n"  # Qwen's templates write it after `</think>` and in an empty thought


@dataclass(frozen=True, kw_only=True)
class Closing:
    """Ids that end an open thought: with a message, without one, and for one that has nothing in it yet.

    `separator` stands between `</think>` and the answer.
    """

    with_message: tuple[int, ...]
    bare: tuple[int, ...]
    empty: tuple[int, ...]
    separator: tuple[int, ...]

    @classmethod
    def of(cls, thinking: ThinkingIds, tokenizer: Tokenizer, message: str) -> "Closing":
        """The closings of a model; the message's text never becomes an added token."""
        line, separator = tokenizer.encode_plain("\n"), tokenizer.encode_plain(_BREAK)
        end = (thinking.end, *separator)
        return cls(
            with_message=(*tokenizer.encode_plain(message), *end),
            bare=(*line, *end),
            empty=(*separator, *end),
            separator=tuple(separator),
        )


@dataclass(frozen=True, kw_only=True)
class ThoughtLimit:
    """The most tokens that a thought may have, why, and what closes it there."""

    tokens: int
    reason: ThinkingEnd
    closing: tuple[int, ...]


def limit_thought(thinking: Thinking, closing: Closing, limit: int) -> ThoughtLimit:
    """The limit of a thought in a reply that has `limit` tokens beside the opening marker; some stay the answer's.

    The message is left out where it would take what the thought or the answer needs.
    """
    left = limit - min(thinking.answer_reserve, limit // 2)
    with_message = left - len(closing.with_message)
    ids = closing.with_message if with_message > 0 else closing.bare
    room = max(0, left - len(ids))
    if thinking.budget is not None and thinking.budget <= room:
        return ThoughtLimit(tokens=thinking.budget, reason=ThinkingEnd.BUDGET, closing=ids)
    return ThoughtLimit(tokens=room, reason=ThinkingEnd.RESERVE, closing=ids)


class ThoughtControl:
    """The thought of one reply. `forced` is the queue of forced ids; `stop` says whether the thought is to end.

    | part before a token | the token                          | `end` becomes                   | ids forced          |
    |---------------------|------------------------------------|---------------------------------|---------------------|
    | none yet            | `<think>`                          | stays None                      | none                |
    | none yet            | any other                          | none                            | none                |
    | thought             | a token of it, nothing to end for  | stays None                      | none                |
    | thought             | a token of it, and it has to end   | user, budget, reserve or loop   | closing, `</think>` |
    | thought             | a forced one, while it is closed   | stays                           | the rest            |
    | thought             | `</think>` that the model draws    | natural or soft                 | perhaps a separator |
    | answer              | any                                | stays                           | none                |

    Which of them a reply begins in is its `begin`; a switch that is off or on forces the first ids.
    """

    def __init__(
        self,
        ids: ThinkingIds,
        begin: Opening,
        switch: Switch,
        settings: Thinking,
        *,
        limit: int,
        tokenizer: Tokenizer,
        boundaries: Boundaries,
        stop_ids: Collection[int],
        forced: deque[int],
        stop: Stop,
        separate: bool = False,
    ):
        """For a reply of at most `limit` tokens that begins as `begin` says. `separate` writes what stands between
        a thought that the model closes and the answer, for answers that may not begin with it.
        """
        self.end: ThinkingEnd | None = ThinkingEnd.OFF if begin is Opening.ANSWERING else None
        self.start = ids.start
        self.tokens = 0
        self._ids, self._settings, self._boundaries = ids, settings, boundaries
        self._stop_ids = np.array(sorted(set(stop_ids) - {ids.end}), np.int64)
        self._closing = Closing.of(ids, tokenizer, settings.message)
        marker = begin is not Opening.THINKING  # the one that opens the thought is the reply's
        self._limit = limit_thought(settings, self._closing, limit - marker)
        self._forced, self._separate = forced, separate
        self._opened_by_prompt = begin is Opening.THINKING
        self._part: Part | None = {Opening.THINKING: Part.THOUGHT, Opening.ANSWERING: Part.ANSWER}.get(begin)
        self._loops = LoopDetector(Detokenizer(tokenizer).feed) if settings.stop_loops else None
        self._stop = stop
        self._at_boundary = self._raised = False
        self._begin(switch)

    @property
    def thinks(self) -> bool:
        """Whether a thought is open."""
        return self._part is Part.THOUGHT

    @property
    def may_open(self) -> bool:
        """Whether the next token may still open a thought."""
        return self._part is None

    def shape(self, logits: Row) -> None:
        """Change the logits in place: a reply has at most one thought, at its start, and does not end within it."""
        if self._part is Part.THOUGHT:
            logits[self._ids.start] = -np.inf
            self._end_later(logits)
            self._raised = self._at_boundary and self._soften(logits)
        else:
            logits[self._ids.end] = -np.inf
            if self._part is Part.ANSWER:
                logits[self._ids.start] = -np.inf

    def accept(self, token: Token, part: Part) -> None:
        """Take note of a token and of the part that the reply is in after it."""
        before, self._part = self._part, part
        if part is Part.THOUGHT:
            self._within(token, opened=before is not Part.THOUGHT)
        elif before is Part.THOUGHT:
            self._closed(token)
        elif before is None:
            self.end = ThinkingEnd.NONE

    def ended(self, finish: Finish) -> ThinkingEnd:
        """Why thinking ended, once the reply ended by `finish`."""
        if self.end is None and self._part is Part.THOUGHT:
            return ThinkingEnd.LENGTH if finish is Finish.STOP else ThinkingEnd(finish.value)
        return self.end or ThinkingEnd.NONE

    def _begin(self, switch: Switch) -> None:
        if self._part is None and switch is Switch.OFF:  # as the model would write it after `/no_think`
            self._forced.extend((self._ids.start, *self._closing.empty))
            self.end = ThinkingEnd.OFF
        elif self._part is None and switch is Switch.ON:
            self._forced.append(self._ids.start)
        elif self._part is Part.THOUGHT and self._limit.tokens == 0:
            self._close(self._limit.reason)

    def _within(self, token: Token, opened: bool) -> None:
        assert token.id is not None
        looping = False
        if token.origin is Origin.SAMPLED and not opened:
            self.tokens += 1
            self._at_boundary = self._boundaries.ends(token.id)
            looping = self._loops is not None and self._loops.feed(token.id)
        if self.end is not None or self._forced:
            return  # it is being closed
        if self._stop.thinking_stopped:
            self._close(ThinkingEnd.USER)
        elif self.tokens >= self._limit.tokens:
            self._close(self._limit.reason)
        elif looping:
            self._close(ThinkingEnd.LOOP)

    def _close(self, reason: ThinkingEnd) -> None:
        self.end = reason
        if self.tokens:
            self._forced.extend(self._limit.closing)
        else:
            self._forced.extend(self._closing.bare if self._opened_by_prompt else self._closing.empty)

    def _closed(self, token: Token) -> None:
        if self.end is None:
            self.end = ThinkingEnd.SOFT if self._raised else ThinkingEnd.NATURAL
            if self._separate and token.origin is Origin.SAMPLED:
                self._forced.extend(self._closing.separator)

    def _end_later(self, logits: Row) -> None:
        """Give closing the chances of ending the whole reply: a thought without an answer serves nobody."""
        if self._stop_ids.size:
            chances = logits[[self._ids.end, *self._stop_ids]]
            logits[self._ids.end] = np.logaddexp.reduce(chances)
            logits[self._stop_ids] = -np.inf

    def _soften(self, logits: Row) -> bool:
        if self._settings.soft_from is None or self.end is not None:
            return False
        share = progress(self.tokens, self._settings.soft_from, self._limit.tokens)
        return share > 0 and raise_logit(logits, self._ids.end, share, self._settings.soft_lift)

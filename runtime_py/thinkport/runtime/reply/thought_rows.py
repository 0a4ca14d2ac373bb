"""Several thoughts about one prompt, written at the same time, of which one answers.

1. The first row runs over the conversation's engine. With its first piece of thought the prompt is run: the others
   begin with a copy of its keys and values, over engines of their own. So the prompt runs once.
2. Each row is a reply in a thread of its own, so their steps are shared (`engine/scheduler.py`). Row i draws with the
   request's seed + i, under the same budget and `max_tokens`: its ids are those of a reply alone with that seed.
3. Thoughts are ranked by their length, then by their number; those that loop or were cut off come last. A rank is
   settled once no open thought can come before it, whichever thread was quicker: same seeds, same choice.
4. `first`: the first rank answers, in the reader's thread, and the other rows stop. `vote`: the first `quorum` ranks
   answer, each in its thread; the value that most answers have is taken, by its shortest thought. Without values it is
   the first rank.
5. Nothing of a thought is shown before it is chosen, only counts: shown text is never taken back.
6. The chosen row's KV cache becomes the conversation's, so the next turn computes only what is new.
7. The reply's stop is in every row's: answer-now, cancel and abandon hold for all. A row's error ends the reply.
8. A row that finds no memory before its first token is left out, and the reason says so; later ones pause.

Knows rows, their events and their ranks. Must not know how a thought is limited or a token drawn.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from threading import RLock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import UnavailableError
from thinkport.runtime.events import (
    AnswerPiece,
    End,
    Event,
    OtherThought,
    ParallelThoughts,
    ThoughtEnd,
    ThoughtPiece,
    ThoughtsProgress,
)
from thinkport.runtime.reply.background import Background
from thinkport.runtime.reply.stop_text import StopText
from thinkport.runtime.thinking.answer_values import answer_values
from thinkport.runtime.thinking.thinking import Choose, ThinkingEnd
from thinkport.runtime.thinking.thinking_switch import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterator, Sequence

    from thinkport.runtime.engine.engine import Engine
    from thinkport.runtime.engine.kv_cache import KvStart
    from thinkport.runtime.reply.reply import ReplyRun
    from thinkport.runtime.reply.reply_request import PreparedReply

    MakeRun = Callable[[int, Engine, Stop, KvStart | None], ReplyRun]

_TOLD = 0.25  # seconds between two counts
_CUT = (ThinkingEnd.LOOP, ThinkingEnd.LENGTH, ThinkingEnd.CONTEXT, ThinkingEnd.CANCELLED)


class ThoughtRow:
    """One thought, and its answer if it comes to that.

    | state    | entered by                  | its events are read by | left when                             |
    |----------|-----------------------------|------------------------|---------------------------------------|
    | thinking | `think`                     | its thread             | its `ThoughtEnd`, an error, or a drop |
    | parked   | its thread's end            | nobody                 | it answers, or is dropped             |
    | answered | `answer`, to its end        | its thread             | its `End`, an error, or a drop        |
    | chosen   | the reader takes its events | the reader's thread    | the reply's end                       |
    | closed   | a drop, while nobody reads  | nobody                 | never                                 |
    """

    def __init__(
        self,
        number: int,
        run: ReplyRun,
        engine: Engine,
        stop: Stop,
        told: Callable[[], None],
        stops: tuple[str, ...] = (),
    ):
        """`told` is called after each event; the answer ends before one of `stops`, as `answer_text`."""
        self.number, self.run, self.engine, self.stop = number, run, engine, stop
        self.events = run.events(stop, lambda run, end: None)
        self.taken: list[Event] = []  # events that came and were not shown
        self.thought_end: ThoughtEnd | None = None
        self.end: End | None = None
        self.answer_text, self._text = "", StopText(stops)
        self.work: Background | None = None
        self._told, self._parked, self._lock = told, True, RLock()
        self._readers = 0  # that have read it so far; a thread may end after the next one has begun

    @property
    def tokens(self) -> int:
        """What the model wrote of the thought so far."""
        return self.run.control.tokens if self.run.control else 0

    @property
    def open(self) -> bool:
        """Whether its thought goes on."""
        return self.thought_end is None and self.work is not None and not self.work.done

    @property
    def refused(self) -> bool:
        """Whether there was no memory for it to begin with."""
        error = self.work.error if self.work else None
        return isinstance(error, UnavailableError) and not self.run.ids and self.number > 0

    @property
    def cut(self) -> bool:
        """Whether the thought ended as no thought should."""
        return self.thought_end is None or self.thought_end.reason in _CUT

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Lower ones come first."""
        return self.cut, self.tokens, self.number

    def may_come_before(self, other: ThoughtRow) -> bool:
        """Whether an open thought may still be ranked before one that ended."""
        return other.cut or (self.tokens, self.number) < (other.tokens, other.number)

    def think(self) -> None:
        """Read events in a thread until the thought has ended."""
        self._work(ThoughtEnd)

    def answer(self) -> None:
        """Read events in a thread until the reply has ended."""
        self._work(End)

    def drop(self) -> None:
        """Have it end at its next token, and let go of its memory."""
        with self._lock:
            self.stop.abandon()
            self._close()

    def take(self, event: Event) -> None:
        """Keep an event."""
        self.taken.append(event)
        if isinstance(event, ThoughtEnd):
            self.thought_end = event
        elif isinstance(event, AnswerPiece):
            self.answer_text += self._text.feed(event.text)
            if self._text.met is not None:
                self.stop.cancel()
        elif isinstance(event, End):
            self.end = event
            self.answer_text += self._text.flush()

    @property
    def answered(self) -> bool:
        """Whether its answer is whole: it ended by itself, or at a stop string."""
        return self.end is not None and (self._text.met is not None or self.end.answer_end is Finish.STOP)

    def show(self) -> None:
        """Have its events read by who calls this."""
        self._begin_reading()

    def leave(self) -> None:
        """End it where the reader stands, and let go of what it does not leave to the conversation."""
        self.events.close()
        if self.number:
            self.engine.close()  # which has the first row's KV cache by now

    def _begin_reading(self) -> int:
        with self._lock:
            self._parked, self._readers = False, self._readers + 1
            return self._readers

    def _work(self, last: type[Event]) -> None:
        parks = partial(self._park, self._begin_reading())
        self.work = Background(partial(self._read, last), parks, self.stop)

    def _read(self, last: type[Event], _: Stop) -> None:
        for event in self.events:
            self.take(event)
            self._told()
            if isinstance(event, last | AnswerPiece) and self.thought_end is None:
                return  # it answers without a thought
            if isinstance(event, last):
                return

    def _park(self, reader: int, _: Background) -> None:
        with self._lock:
            if reader == self._readers:
                self._parked = True
                if self.stop.abandoned:
                    self._close()
        self._told()

    def _close(self) -> None:
        if self._parked:
            self.events.close()
            if self.number:  # the first one's engine is the conversation's
                self.engine.close()


class ThoughtRows:
    """The rows of one reply, and what they come to."""

    def __init__(
        self,
        prepared: PreparedReply,
        engine: Engine,
        stop: Stop,
        make: MakeRun,
        on_end: Callable[[ReplyRun, End], None],
        stops: tuple[str, ...] = (),
    ):
        """`make` gives the run of a row, over an engine that begins with some keys and values. `on_end` gets the
        chosen row's end before it is yielded. `stops` end the answers that are compared.
        """
        self._prepared, self._engine, self._stop, self._make, self._on_end = prepared, engine, stop, make, on_end
        self._thinking, self._stops = prepared.thinking, stops
        self._changed: SimpleQueue[None] = SimpleQueue()
        self._chosen: ThoughtRow | None = None
        self._rows = [self._row(0, engine, None)]

    @property
    def end(self) -> ThinkingEnd | None:
        """Why the chosen thought ended; None before one is chosen."""
        row = self._chosen
        return row.run.control.end if row is not None and row.run.control else None

    def events(self) -> Generator[Event]:
        """Yield the events of the reply."""
        first = self._rows[0]
        try:
            event = next(first.events, None)
            if event is None:
                return
            if not isinstance(event, ThoughtPiece) or self._prepared.width == 1:
                first.take(event)
                why = (
                    "the same as any other at temperature 0" if self._prepared.width == 1 else "the reply did not think"
                )
                yield from self._give(first, f"one thought: {why}")
                return
            first.take(event)
            yield from self._think()
            if self._stop.abandoned:
                return
            settled = self._settled(self._needed)
            if self._thinking.choose is Choose.VOTE and len(settled) > 1 and not self._stop.cancelled:
                yield from self._vote(settled)
            elif settled:
                yield from self._give(settled[0], self._shortest())
        finally:
            for row in self._rows:
                row.drop() if row is not self._chosen else row.leave()

    def _row(self, number: int, engine: Engine, start: KvStart | None) -> ThoughtRow:
        stop = Stop(within=self._stop)
        run = self._make(number, engine, stop, start)
        return ThoughtRow(number, run, engine, stop, lambda: self._changed.put(None), self._stops)

    @property
    def _needed(self) -> int:
        """How many thoughts are to answer."""
        alive = sum(not row.refused for row in self._rows)
        return min(alive, self._thinking.quorum or alive) if self._thinking.choose is Choose.VOTE else 1

    def _think(self) -> Iterator[Event]:
        """Have all rows think until as many ranks are settled as are needed, then stop the others."""
        start = self._start()
        self._rows += [self._row(at, self._engine.sibling(), start) for at in range(1, self._prepared.width)]
        for row in self._rows:
            row.think()
        yield self._progress()
        yield from self._wait(lambda: len(self._settled(self._needed)) == self._needed)
        kept = self._settled(self._needed)
        for row in self._rows:
            if row not in kept:
                row.drop()
        for row in kept:
            assert row.work is not None
            row.work.wait()  # it is on its way back from its last event

    def _start(self) -> KvStart | None:
        """The prompt but its last token, with its keys and values."""
        held, size = self._engine.snapshot(), len(self._prepared.prompt.ids) - 1
        return (held[0][:size], held[1].first(size)) if held is not None and size > 0 else None

    def _settled(self, most: int) -> list[ThoughtRow]:
        """The rows of the first ranks, at most so many, that nothing can change any more."""
        ended = sorted((row for row in self._rows if row.thought_end is not None), key=lambda row: row.rank)
        open_ones = [row for row in self._rows if row.open]
        settled: list[ThoughtRow] = []
        for row in ended[:most]:
            if any(one.may_come_before(row) for one in open_ones):
                break
            settled.append(row)
        return settled

    def _wait(self, done: Callable[[], bool]) -> Iterator[Event]:
        """Wait until something is so, or all rows are parked, and count meanwhile.

        Raises:
            ThinkportError: what a row ended with; any other exception too.
        """
        told = perf_counter()
        while True:
            over = all(row.work is None or row.work.done for row in self._rows)  # first: what they say then is all
            for row in self._rows:
                if row.work is not None and row.work.error is not None and not row.refused:
                    raise row.work.error
            if done() or over:
                return
            if (now := perf_counter()) - told >= _TOLD:
                told = now
                yield self._progress()
            with suppress(Empty):
                self._changed.get(timeout=_TOLD)
                while True:
                    self._changed.get_nowait()

    def _progress(self) -> ThoughtsProgress:
        return ThoughtsProgress(
            tokens=tuple(row.tokens for row in self._rows if not row.refused),
            ended=sum(row.thought_end is not None for row in self._rows),
        )

    def _vote(self, rows: list[ThoughtRow]) -> Iterator[Event]:
        """Have the rows answer, and give the answer that most of them have."""
        for row in rows:
            row.answer()
        yield from self._wait(lambda: all(row.work is not None and row.work.done for row in rows))
        if self._stop.abandoned:
            return
        values = self._values(rows)
        counts = Counter(value for value in values if value is not None)
        if not counts:
            yield from self._give(rows[0], f"{self._shortest()}: their answers can't be compared", answered=len(rows))
            return
        agreed = max(counts.values())  # of values with as many answers, that of the shortest thought is taken
        row = next(row for row, value in zip(rows, values, strict=True) if counts[value] == agreed)
        reason = f"{agreed} of {len(rows)} answers agree{self._fewer()}"
        yield from self._give(row, reason, agreed=agreed, answered=len(rows))

    def _values(self, rows: list[ThoughtRow]) -> Sequence[Hashable | None]:
        """What the rows' answers say, equal where they agree; None where that can't be told."""
        texts = [
            row.answer_text if row.end is not None and not row.end.tool_calls and row.answered else None for row in rows
        ]
        if self._prepared.request.response_format is None:
            return answer_values(texts)
        return [None if text is None else _held_value(text) for text in texts]

    def _shortest(self) -> str:
        return f"the shortest of {sum(not row.refused for row in self._rows)} thoughts{self._fewer()}"

    def _fewer(self) -> str:
        refused = sum(row.refused for row in self._rows)
        return f" (there is no memory for {refused} more)" if refused else ""

    def _give(self, row: ThoughtRow, reason: str, **counts: Any) -> Iterator[Event]:
        """Choose a row: yield what it has said, and go on with it."""
        self._chosen = row
        row.show()
        if row.number:
            self._engine.exchange(row.engine)
        for event in row.taken:
            if not isinstance(event, End):
                yield event
        end = row.end
        for event in row.events if end is None else ():
            if isinstance(event, End):
                end = event
            else:
                yield event
        if end is not None:  # it was not abandoned
            self._drop_others(row)
            end = self._whole(row, end, reason, **counts)
            self._on_end(row.run, end)
            yield end

    def _drop_others(self, row: ThoughtRow) -> None:
        for other in self._rows:
            if other is not row:
                other.drop()
                if other.work is not None:
                    other.work.wait()
        row.leave()  # now: its reader may stop at the end

    def _whole(self, row: ThoughtRow, end: End, reason: str, **counts: Any) -> End:
        """The end with what belongs to all rows."""
        first = self._rows[0].run
        parallel = ParallelThoughts(
            asked=self._thinking.width,
            width=sum(not one.refused for one in self._rows),
            chosen=row.number,
            choose=self._thinking.choose,
            reason=reason,
            others=tuple(_other(one) for one in self._rows if one is not row and not one.refused),
            **counts,
        )
        return replace(end, cached_tokens=first.cached_tokens, prefill=first.prefill, parallel=parallel)


def _held_value(answer: str) -> str:
    """What an answer of a given form says: its text, of JSON without its order and white space."""
    try:
        return json.dumps(json.loads(answer), sort_keys=True)
    except (ValueError, RecursionError):
        return answer


def _other(row: ThoughtRow) -> OtherThought:
    answer = None if row.end is None else row.answer_text
    reason = None if row.thought_end is None else row.thought_end.reason
    return OtherThought(thought=row.run.texts[Part.THOUGHT], tokens=row.run.written, end=reason, answer=answer)

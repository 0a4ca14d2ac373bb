"""A reply on a terminal: what is final goes to the scrollback once, and only the rest is drawn again and again.

The events' thread hands text over; another one draws, a few times a second, so that clocks go on while a model is
silent and a quick model is not slowed by drawing.
"""

import sys
from collections.abc import Callable, Iterator
from threading import Event as Flag
from threading import RLock, Thread
from time import perf_counter

from rich.console import Console
from rich.text import Text

from thinkport.runtime.events import AnswerPiece, End, Event, ThoughtEnd, ThoughtPiece, ThoughtsProgress, ToolCall
from thinkport.runtime.terminal.answer_view import AnswerView
from thinkport.runtime.terminal.controls import harmless
from thinkport.runtime.terminal.interrupts import Press
from thinkport.runtime.terminal.live_frame import FrameLive, LiveFrame
from thinkport.runtime.terminal.plain_reply import call_text
from thinkport.runtime.terminal.rendered_lines import Line, lines_of, print_lines
from thinkport.runtime.terminal.thought_view import DIM, ThoughtLine, ThoughtText
from thinkport.runtime.thinking.thinking import Thinking, ThinkingEnd

_FRAME = 1 / 12  # seconds
_DRAWING = 10  # a frame waits this many times the seconds that the last one took
_THOUGHT_ROOM = 6  # lines of a thought that will be folded
_HINTS = {
    None: "",
    Press.STOP_THINKING: "closing the thought, Ctrl-C again ends the turn",
    Press.CANCEL: "ending the turn, Ctrl-C again leaves",
    Press.LEAVE: "leaving",
}


class ReplyScreen:
    """Draws one reply, from its first event to its end."""

    def __init__(
        self,
        console: Console,
        *,
        thinking: Thinking,
        unfolded: bool,
        pressed: Callable[[], Press | None] = lambda: None,
        clock: Callable[[], float] = perf_counter,
    ):
        """`thinking` are the reply's settings; `unfolded` leaves the thought's text standing; `pressed` is the last
        Ctrl-C, which the line that counts mentions.
        """
        self._console, self._unfolded, self._pressed, self._clock = console, unfolded, pressed, clock
        self._begun = clock()
        self._thought = ThoughtLine(thinking, clock)
        self._thought_text = ThoughtText(console)
        self._answer = AnswerView(console)
        self._part: type[Event] | None = None
        self._lock = RLock()
        self._said = False  # whether a line of the answer was printed
        self._live = FrameLive(
            LiveFrame(self._unfinished),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
            vertical_overflow="crop",
        )

    def show(self, events: Iterator[Event]) -> End:
        """Draw the events as they come; return the end."""
        done = Flag()
        painter = Thread(target=self._paint, args=(done,), daemon=True)
        with self._live:
            painter.start()
            try:
                for event in events:
                    with self._lock:
                        self._take(event)
                    if isinstance(event, End):
                        return event
            finally:
                done.set()
                painter.join()
                self._part = End
        raise AssertionError("a reply without an end")

    def _take(self, event: Event) -> None:
        match event:
            case ThoughtPiece():
                self._part = ThoughtPiece
                self._thought.count(event.tokens)
                self._thought_text.feed(event.text)
            case ThoughtsProgress():
                self._part = ThoughtPiece  # their text comes once one is chosen
                self._thought.count_several(event.tokens)
            case ThoughtEnd():
                self._end_thought(event.reason)
            case AnswerPiece():
                self._part = AnswerPiece
                self._answer.feed(event.text)
            case ToolCall():
                self._print_answer(self._answer.rest())
                self._part = ToolCall
                self._print_dim(f"tool call {harmless(call_text(event))}")
            case End():
                self._part = End
                self._print_answer(self._answer.rest())

    def _end_thought(self, reason: ThinkingEnd) -> None:
        if self._part is not ThoughtPiece:  # an empty thought leaves no line
            return
        self._thought.end()
        self._part = AnswerPiece
        if self._unfolded:
            print_lines(self._thought_text.rest(), self._console)
        self._print_dim(self._thought.folded(reason, stays=self._unfolded))

    def _print_dim(self, text: str) -> None:
        print_lines(lines_of(Text(text, style=DIM), self._console), self._console)

    def _print_answer(self, lines: list[Line]) -> None:
        """A blank line sets the answer apart from what stands above it."""
        print_lines([*([] if self._said or not lines else [[]]), *lines], self._console)
        self._said = self._said or bool(lines)

    def _print_final(self) -> None:
        if self._part is ThoughtPiece and self._unfolded:
            print_lines(self._thought_text.final(), self._console)
        elif self._part is AnswerPiece:
            self._print_answer(self._answer.final(self._room))

    @property
    def _room(self) -> int:
        """Lines that may be drawn again: the cursor can't go up beyond the window."""
        return max(1, self._console.height - 2)

    def _unfinished(self) -> list[Line]:
        """What is not final."""
        hint = _HINTS[self._pressed()]
        if self._part is None:
            waiting = f"reading the prompt · {self._clock() - self._begun:.1f} s"
            return lines_of(Text(hint or waiting, style=DIM), self._console)
        if self._part is ThoughtPiece:
            room = self._room if self._unfolded else _THOUGHT_ROOM
            counting = self._thought.counting(self._console.width - 1, hint)
            line = Text(counting, style=DIM, no_wrap=True, overflow="crop")
            text = self._thought_text.tail(min(room, self._room) - 1)
            return [*text, *lines_of(line, self._console)[:1]]
        if self._part is AnswerPiece:
            tail = self._answer.tail(self._room)
            return [*([] if self._said or not tail else [[]]), *tail]
        return []

    def draw(self) -> None:
        """Draw a frame now; `show` does so by itself a few times a second."""
        with self._lock:
            self._print_final()
            self._live.refresh()

    def _paint(self, done: Flag) -> None:
        took = 0.0
        while not done.wait(max(_FRAME, _DRAWING * took)):
            begun = perf_counter()
            self.draw()
            took = perf_counter() - begun

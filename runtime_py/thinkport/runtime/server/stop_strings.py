"""Ends a reply's answer where a stop string begins.

Knows events of a reply; must not know ids: a stop string may begin and end within tokens. Streamed text is never taken
back, so text that may begin a stop string is held until more text decides.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.events import AnswerPiece, End, Event, ToolCall


class StopText:
    """Text that ends before the first of some strings."""

    def __init__(self, stops: Sequence[str]):
        self._stops = tuple(stops)
        self._held = ""
        self.met = False

    def feed(self, text: str) -> str:
        """Add text and return what can be shown now."""
        if self.met:
            return ""
        text = self._held + text
        starts = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if starts:
            self.met, self._held = True, ""
            return text[: min(starts)]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """Return the held text, which turned out to be no stop string."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` may begin `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)


def stopping(
    reply: Iterable[Event], stop: Stop, stops: Sequence[str], *, single_call: bool = False
) -> Generator[Event]:
    """The reply's events, its answer ended before a stop string; `single_call` ends it after its first tool call."""
    text, shown, calls = StopText(stops), "", 0
    for event in reply:
        if isinstance(event, End):
            if rest := text.flush():
                shown += rest
                yield AnswerPiece(text=rest, tokens=event.answer_tokens)
            ended = text.met or (single_call and calls)
            calls_kept = event.tool_calls[:1] if single_call else event.tool_calls
            end = replace(event, answer=shown, tool_calls=calls_kept)
            yield replace(end, answer_end=Finish.STOP) if ended else end
        elif isinstance(event, AnswerPiece):
            new = text.feed(event.text)
            shown += new
            if new or event.logprobs:
                yield replace(event, text=new)
            if text.met:
                stop.cancel()
        elif isinstance(event, ToolCall) and single_call:
            calls += 1
            if calls == 1:
                yield event
                stop.cancel()
        else:
            yield event

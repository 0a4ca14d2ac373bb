"""A reply as plain text, for a pipe or a terminal that can't move its cursor.

A pipe gets the model's characters as they are, a terminal their pictures where it would obey them.
"""

import json
from collections.abc import Iterator

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from thinkport.runtime.events import End, Event, ThoughtPiece, ToolCall
from thinkport.runtime.terminal.controls import HarmlessStream

_DIM, _PLAIN = Style(dim=True), Style()


def show_plain(events: Iterator[Event], out: Console) -> End:
    """Write the pieces as they come, the thought dim and a blank line after it; return the end.

    A tool call is a line of JSON with its name and its arguments, or the text that the model wrote if it is not one.
    """
    writer = _Writer(out)
    thinking = started = False
    for event in events:
        if isinstance(event, End):
            writer.end()
            return event
        is_thought = isinstance(event, ThoughtPiece)
        if thinking and not is_thought:
            writer.write("\n\n", _PLAIN)
        elif started and isinstance(event, ToolCall):
            writer.write("\n", _PLAIN)
        thinking, started = is_thought, True
        text = call_text(event) if isinstance(event, ToolCall) else event.text
        writer.write(text, _DIM if is_thought else _PLAIN)
    raise AssertionError("a reply without an end")


def call_text(call: ToolCall) -> str:
    """A tool call in one line."""
    if call.arguments is None:
        return call.text.strip()
    return json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)


class _Writer:
    """Writes past rich's own text, which expands tabs and drops some control characters but not escapes."""

    def __init__(self, out: Console):
        self._out = out
        self._harmless = HarmlessStream()

    def write(self, text: str, style: Style) -> None:
        if self._out.is_terminal:
            self._print(self._harmless.feed(text), style)
        else:
            self._out.file.write(text)
            self._out.file.flush()

    def end(self) -> None:
        self._print(self._harmless.flush(), _PLAIN)
        self.write("\n", _PLAIN)

    def _print(self, text: str, style: Style) -> None:
        if text:
            self._out.print(Segments([Segment(text, style)]), end="", soft_wrap=True)

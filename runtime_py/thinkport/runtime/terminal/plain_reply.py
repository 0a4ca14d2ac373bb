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
    harmless = HarmlessStream()

    def write(text: str, style: Style = _PLAIN) -> None:
        """Past rich's own text, which expands tabs and drops some control characters but not escapes."""
        if not out.is_terminal:
            out.file.write(text)
            out.file.flush()
        elif shown := harmless.feed(text):
            out.print(Segments([Segment(shown, style)]), end="", soft_wrap=True)

    thinking = started = False
    for event in events:
        if isinstance(event, End):
            write(harmless.flush())
            write("\n")
            return event
        is_thought = isinstance(event, ThoughtPiece)
        if thinking and not is_thought:
            write("\n\n")
        elif started and isinstance(event, ToolCall):
            write("\n")
        thinking, started = is_thought, True
        text = call_text(event) if isinstance(event, ToolCall) else event.text
        write(text, _DIM if is_thought else _PLAIN)
    raise AssertionError("a reply without an end")


def call_text(call: ToolCall) -> str:
    """A tool call in one line."""
    if call.arguments is None:
        return call.text.strip()
    return json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)

"""A reply as plain text, for a pipe or a terminal that can't move its cursor.

A pipe gets the model's characters as they are, a terminal their pictures where it would obey them.
"""

import json
from collections.abc import Iterator

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from thinkport.runtime.events import AnswerPiece, End, Event, ThoughtEnd, ThoughtPiece, ToolCall
from thinkport.runtime.terminal.controls import HarmlessStream

_DIM, _PLAIN = Style(dim=True), Style()


class PlainText:
    """Text that is written to a console as it comes; `written` says whether there was any."""

    def __init__(self, console: Console):
        self._console, self._harmless = console, HarmlessStream()
        self.written = False

    def write(self, text: str, style: Style = _PLAIN) -> None:
        """Past rich's own text, which expands tabs and drops some control characters but not escapes."""
        self.written = self.written or bool(text)
        if not self._console.is_terminal:
            self._console.file.write(text)
            self._console.file.flush()
        elif shown := self._harmless.feed(text):
            self._show(shown, style)

    def end(self) -> None:
        """Write what is held of the text, and end the line."""
        if self._console.is_terminal:
            self._show(self._harmless.flush(), _PLAIN)
        self.write("\n")

    def _show(self, text: str, style: Style) -> None:
        self._console.print(Segments([Segment(text, style)]), end="", soft_wrap=True)


def show_plain(events: Iterator[Event], out: Console, thoughts: Console | None = None) -> End:
    """Write the pieces as they come; return the end.

    The thought goes to `thoughts`, dim on a terminal, or nowhere; where that is `out` too, a blank line follows it. A
    tool call is a line of JSON with its name and its arguments, or the text that the model wrote if it is not one.
    """
    answer = PlainText(out)
    thought = answer if thoughts is out else PlainText(thoughts) if thoughts is not None else None
    gap = ""  # what stands before the next text of the answer
    for event in events:
        match event:
            case ThoughtPiece():
                if thought is not None:
                    thought.write(event.text, _DIM)
            case ThoughtEnd():
                if thought is answer:
                    gap = "\n\n" if answer.written else ""
                elif thought is not None and thought.written:
                    thought.end()
            case AnswerPiece():
                answer.write(gap + event.text)
                gap = ""
            case ToolCall():
                answer.write((gap or ("\n" if answer.written else "")) + call_text(event))
                gap = ""
            case End():
                answer.end()
                return event
    raise AssertionError("a reply without an end")


def call_text(call: ToolCall) -> str:
    """A tool call in one line."""
    if call.arguments is None:
        return call.text.strip()
    return json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)

"""The text of a thought as dim lines, while it grows."""

from rich.console import Console
from rich.style import Style
from rich.text import Text

from thinkport.runtime.terminal.controls import HarmlessStream
from thinkport.runtime.terminal.rendered_lines import Line, is_blank, lines_of

DIM = Style(dim=True)


class ThoughtText:
    """A thought's text that was not taken yet; blank lines at its start and end are nobody's."""

    def __init__(self, console: Console):
        """For the width of a console; nothing is written to it."""
        self._console = console
        self._harmless = HarmlessStream()
        self._text = ""
        self._begun = False

    def feed(self, text: str) -> None:
        """Add a piece as the model wrote it."""
        self._text += self._harmless.feed(text)
        if not self._begun:
            self._text = self._text.lstrip("\n")
            self._begun = bool(self._text)

    def final(self) -> list[Line]:
        """The lines that are whole, once; blank ones wait for what follows them."""
        body = self._text.rstrip("\n")
        cut = len(body) + 1 if len(body) < len(self._text) else body.rfind("\n") + 1
        if not body or not cut:
            return []
        whole, self._text = self._text[: cut - 1], self._text[cut:]
        return self._lines(whole)

    def rest(self) -> list[Line]:
        """The lines that are left, at the end."""
        text = (self._text + self._harmless.flush()).rstrip("\n")
        self._text = ""
        return self._lines(text) if text else []

    def tail(self, room: int) -> list[Line]:
        """The last lines that are not blank, at most `room` of them."""
        if room <= 0:
            return []
        recent = self._text[-room * self._console.width :]
        return [line for line in self._lines(recent) if not is_blank(line)][-room:]

    def _lines(self, text: str) -> list[Line]:
        return lines_of(Text(text, style=DIM), self._console, self._console.width)

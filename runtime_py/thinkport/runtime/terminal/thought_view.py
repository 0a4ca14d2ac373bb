"""A thought on the screen: its text as dim lines while it grows, the line that counts, and the line that stays.

Knows counts and a clock; must not know how a thought is written or ended.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from thinkport.runtime.terminal.controls import HarmlessStream
from thinkport.runtime.terminal.parted_lines import DOT, fitting
from thinkport.runtime.terminal.rendered_lines import Line, is_blank, lines_of
from thinkport.runtime.thinking.thinking import Thinking, ThinkingEnd

DIM = Style(dim=True)
_BAR = 16  # cells
_KEY = "Ctrl-C: answer now"
_SETTLED = 0.5  # seconds before a speed means something


class ThoughtText:
    """A thought's text that was not taken yet; blank lines around the thought are not drawn."""

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
        return lines_of(Text(text, style=DIM), self._console)


class ThoughtLine:
    """Counts a thought."""

    def __init__(self, thinking: Thinking, clock: Callable[[], float] = perf_counter):
        """Under the chat's settings; `clock` counts seconds."""
        self.tokens = 0
        self._several: Sequence[int] = ()
        self._thinking, self._clock = thinking, clock
        self._begun: float | None = None
        self._ended: float | None = None

    @property
    def seconds(self) -> float:
        """From the first piece to the end."""
        now = self._clock() if self._ended is None else self._ended
        return 0.0 if self._begun is None else now - self._begun

    def count(self, tokens: int) -> None:
        """Take note of a piece; `tokens` are the thought's so far."""
        self._begun = self._clock() if self._begun is None else self._begun
        self.tokens = max(tokens, self.tokens)
        self._several = ()

    def count_several(self, tokens: Sequence[int]) -> None:
        """Take note of how far several thoughts have come."""
        self._begun = self._clock() if self._begun is None else self._begun
        self._several = tokens

    def end(self) -> None:
        """Stop the clock."""
        self._ended = self._clock()

    def counting(self, width: int, hint: str = "") -> str:
        """While it lasts: tokens, seconds, speed, the share of the budget, and the key that ends it.

        Where not all of them fit, the speed goes first, then the key. A `hint` comes first, and in place of the key.
        """
        tokens = max(self._several, default=self.tokens)
        each = f"{len(self._several)} thoughts, {min(self._several)} to {tokens}" if self._several else str(tokens)
        parts = [*([hint] if hint else []), f"thinking {each} tokens", f"{self.seconds:.1f} s"]
        known = self.seconds >= _SETTLED and tokens > 1 and not self._several
        speed = [f"{(tokens - 1) / self.seconds:.1f} tok/s"] if known else []
        budget = self._thinking.budget
        share = [f"{bar(tokens / budget)} of {budget}"] if budget else []
        for line in [] if hint else [[*parts, *speed, *share, _KEY], [*parts, *share, _KEY]]:
            if cell_len(DOT.join(line)) <= width:
                return DOT.join(line)
        return fitting([*parts, *speed, *share], width)

    def folded(self, reason: ThinkingEnd, *, stays: bool = False) -> str:
        """Afterwards: what it took, and why it ended. `stays`: the text stands above."""
        return DOT.join(
            [f"{'▾' if stays else '▸'} thought {self.tokens} tokens", f"{self.seconds:.1f} s", reason.value]
        )


def bar(share: float) -> str:
    """A bar that is told apart without colours."""
    full = min(_BAR, int(share * _BAR))
    return "█" * full + "░" * (_BAR - full)

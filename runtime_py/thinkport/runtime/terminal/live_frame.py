"""Lines that are drawn again and again below what is final, in a window whose width may change meanwhile.

Knows rich's `Live`; must not know what the lines say.
"""

from collections.abc import Callable
from typing import Any

from rich.cells import chop_cells
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult
from rich.live import Live
from rich.segment import ControlType, Segment, SegmentLines

from thinkport.runtime.terminal.rendered_lines import Line


class LiveFrame:
    """What is drawn; `lines` gives it anew for each frame."""

    def __init__(self, lines: Callable[[], list[Line]]):
        self._lines = lines
        self._texts: list[str] = []  # of the lines of the last frame

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines of now."""
        lines = self._lines()
        self._texts = ["".join(segment.text for segment in line) for line in lines]
        yield SegmentLines(lines, new_lines=True)

    def rows(self, width: int) -> int:
        """Rows that the last frame takes in a window of `width` cells: terminals wrap anew what gets too wide.

        A wide letter that does not fit the last cell of a row begins the next one.
        """
        return sum(max(1, len(chop_cells(one, width))) for one in self._texts)


class FrameLive(Live):
    """A `Live` that takes away all of its last frame, also where a narrower window gave the frame more rows."""

    def __init__(self, frame: LiveFrame, **options: Any):
        """`options` are those of `Live`."""
        super().__init__(frame, **options)
        self._frame = frame

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """As rich calls it around everything that is written."""
        rows = self._frame.rows(self.console.width)
        made = super().process_renderables(renderables)
        if not self.console.is_interactive or self.console.legacy_windows:
            return made
        return [_Away(rows), *made[1:]]  # in place of rich's own way up, which counts lines and fills them with blanks


class _Away:
    """Deletes the last rows, the cursor in the last of them.

    They are erased first, and then taken out, since erased lines hold blanks, which tmux would wrap too.
    """

    def __init__(self, rows: int):
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._rows:
            away = "\x1b[2K\x1b[1A" * (self._rows - 1) + f"\x1b[2K\x1b[{self._rows}M"
            yield Segment(f"\r{away}", None, [(ControlType.CARRIAGE_RETURN,)])

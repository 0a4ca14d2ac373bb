"""What rich draws, as lines of segments that can be counted, cut and printed."""

from rich.console import Console, RenderableType
from rich.segment import Segment, SegmentLines

Line = list[Segment]


def lines_of(renderable: RenderableType, console: Console) -> list[Line]:
    """The lines of a renderable as wide as the console, without the blanks that rich pads them with."""
    options = console.options.update(width=console.width, height=None, no_wrap=False, overflow="fold")
    return [_trimmed(line) for line in console.render_lines(renderable, options, pad=False)]


def print_lines(lines: list[Line], console: Console) -> None:
    """Write lines in one go."""
    if lines:
        console.print(SegmentLines(lines, new_lines=True))


def is_blank(line: Line) -> bool:
    """Whether a line shows nothing."""
    return not any(segment.text.strip() for segment in line)


def _trimmed(line: Line) -> Line:
    """The line without blanks at its end: they would wrap in a narrower window, and be copied."""
    kept = list(line)
    while kept and not _seen(kept[-1]):
        last = kept.pop()
        if text := last.text.rstrip():
            return [*kept, Segment(text, last.style)]
    return kept


def _seen(segment: Segment) -> bool:
    style = segment.style
    shown = style is not None and bool(style.bgcolor or style.underline or style.reverse)
    return shown or (bool(segment.text) and not segment.text[-1].isspace())

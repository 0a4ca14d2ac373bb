"""What the views of this part are made of: rich tables that hold at 80 columns, without rules when piped."""

from pydantic import ByteSize
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def size(count: int) -> str:
    """A byte count as people read it: `137.2 MiB`."""
    return ByteSize(count).human_readable(separator=" ")


def section(console: Console, title: str, body: RenderableType) -> None:
    """Write a title and, indented under it, a body."""
    console.print(Text(title, style="bold"))
    console.print(Padding(body, (0, 0, 1, 2), expand=False))


def text_table(console: Console, *headers: str, numbers: int = 0) -> Table:
    """A table whose last `numbers` columns are right-aligned; long texts are folded."""
    table = _empty_table(console, gap=2)
    for at, header in enumerate(headers):
        right = at >= len(headers) - numbers
        table.add_column(header, justify="right" if right else "left", no_wrap=right, overflow="fold")
    return table


def number_table(console: Console, first: str, *numbers: str) -> Table:
    """A table of numbers, as narrow as it can be: `first` heads the rows' names."""
    table = _empty_table(console, gap=1 if console.is_terminal else 2)  # rules bring a space of their own
    table.add_column(first, no_wrap=True)
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    return table


def facts_table(*rows: tuple[str, str]) -> Table:
    """Names and what is told of each, side by side."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, Text(value))
    return grid


def _empty_table(console: Console, *, gap: int) -> Table:
    rules = box.SIMPLE_HEAD if console.is_terminal else None
    return Table(box=rules, show_edge=False, pad_edge=False, header_style="dim", padding=(0, gap, 0, 0))

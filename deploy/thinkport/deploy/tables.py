"""What the views of this part are made of: rich tables that hold at 80 columns, without rules when piped."""

from pydantic import ByteSize
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
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


class NumberTable(Table):
    """A table whose columns go on below, each row's name again, where the width can't hold all of them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names, *numbers = ([column.header, *column.cells] for column in self.columns)
        gap = self.padding[1] + (self.box is not None)  # rules bring a space of their own
        room = options.max_width - min(_widest(console, options, names), options.max_width // 2)
        parts: list[list[list[RenderableType]]] = [[]]
        left = room
        for column in numbers:
            needed = gap + _widest(console, options, column)
            if needed > left and parts[-1]:
                parts.append([])
                left = room
            parts[-1].append(column)
            left -= needed
        for at, part in enumerate(parts):
            if at:
                yield ""
            table = number_table(console, *(str(column[0]) for column in (names, *part)))
            for row in zip(names[1:], *(column[1:] for column in part), strict=True):
                table.add_row(*row)
            yield from Table.__rich_console__(table, console, options)


def _widest(console: Console, options: ConsoleOptions, column: list[RenderableType]) -> int:
    return max(Measurement.get(console, options, cell).maximum for cell in column)


def number_table(console: Console, first: str, *numbers: str) -> Table:
    """A table of numbers, as narrow as it can be: `first` heads the rows' names, which fold where they must."""
    table = _empty_table(console, gap=1 if console.is_terminal else 2, kind=NumberTable)
    table.add_column(first, overflow="fold")
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


def _empty_table(console: Console, *, gap: int, kind: type[Table] = Table) -> Table:
    rules = box.SIMPLE_HEAD if console.is_terminal else None
    return kind(box=rules, show_edge=False, pad_edge=False, header_style="dim", padding=(0, gap, 0, 0))

"""Lines made of parts with dots between them, for windows of any width."""

from collections.abc import Sequence

from rich.cells import cell_len

DOT = " · "


def fitting(parts: Sequence[str], width: int) -> str:
    """The first of the parts that fit in a line of `width` cells, always one of them."""
    for count in range(len(parts), 1, -1):
        line = DOT.join(parts[:count])
        if cell_len(line) <= width:
            return line
    return parts[0]


def broken(parts: Sequence[str], width: int) -> str:
    """All of the parts, in lines that end between parts."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(longer := lines[-1] + DOT + part) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return "\n".join(lines)

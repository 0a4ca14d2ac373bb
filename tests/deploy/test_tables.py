"""Tables in a terminal, at every width."""

import io

import pytest
from rich.console import Console

from thinkport.deploy.tables import number_table

CONTEXTS = tuple(2**power for power in range(4, 14))


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_of_ten_lengths_goes_on_below_with_each_number_whole(width: int, terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    table = number_table(console, "", *(f"at {context}" for context in CONTEXTS))
    table.add_row("artifacts/nano-int4", *(f"{context:,}.5" for context in CONTEXTS))
    table.add_row("  share of the limit", *(f"{100 * context / 8192:.1f}%" for context in CONTEXTS))

    console.print(table)

    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for context in CONTEXTS:
        assert {f"{context}", f"{context:,}.5", f"{100 * context / 8192:.1f}%"} <= set(text.split())
    headers = [line for line in text.splitlines() if "at " in line]
    assert (len(headers) == 1) == (width == 120)


def test_long_names_of_rows_fold_and_leave_the_numbers_their_room() -> None:
    console = Console(file=io.StringIO(), width=50)
    table = number_table(console, "role", "nodes", "ms", "share")
    table.add_row("a-name-of-a-role-and-a-shape-that-is-long" * 2, "1,024", "12.345", "67.8%")

    console.print(table)

    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert {"1,024", "12.345", "67.8%"} <= set(text.split())
    assert "…" not in text

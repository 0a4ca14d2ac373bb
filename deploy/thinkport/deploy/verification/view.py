"""How a verification looks in a terminal: one line a check."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from thinkport.deploy.verification.check import Verification


def show(console: Console, found: Verification) -> None:
    """Write every check and the verdict."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found.checks:
        mark = Text("ok", style="green") if check.passed else Text("FAILED", style="bold red")
        mark = Text("skipped", style="dim") if check.skipped else mark
        table.add_row(mark, check.name, Text(check.detail))
    console.print(table)

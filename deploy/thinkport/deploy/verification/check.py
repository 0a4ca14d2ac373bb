"""The results of a verification, and how they look in a terminal: one line a check.

Knows nothing of how they were found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from thinkport.runtime.errors import ThinkportError

DAMAGED, WRONG, RIGHT = 3, 1, 0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check and its result; `exit_code` is the program's exit code if it fails.

    `skipped`: the check could not be made here, for the reason in `detail`, which is no failure. `alarming`: nothing
    failed, and the user has to see the result in red.
    """

    name: str
    passed: bool
    detail: str
    exit_code: int = DAMAGED
    figures: dict[str, float] | None = None
    skipped: bool = False
    alarming: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs: the exit code is 0 unless the check failed."""
        kept = {name: value for name, value in vars(self).items() if name != "alarming"}
        return {**kept, "exit_code": RIGHT if self.passed else self.exit_code}


def checked(name: str, look: Callable[[], str]) -> Check:
    """The check of that name: passed with the text that `look` returns, or failed with the error that it raises."""
    try:
        return Check(name=name, passed=True, detail=look())
    except ThinkportError as error:
        return Check(name=name, passed=False, detail=str(error))


@dataclass(frozen=True, kw_only=True)
class Verification:
    """All checks of an artifact, in the order in which they were made; `verdict` is that of its certificate."""

    folder: str
    checks: Sequence[Check]
    verdict: dict[str, Any] | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(check.passed for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0 right, 1 wrong on this machine, 3 damaged; damage comes before wrongness."""
        return max((check.exit_code for check in self.checks if not check.passed), default=RIGHT)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        checks = [check.as_json() for check in self.checks]
        found = {"folder": self.folder, "passed": self.passed, "exit_code": self.exit_code}
        return {**found, "verdict": self.verdict, "checks": checks}


def show(console: Console, found: Verification) -> None:
    """Write every check and the verdict."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found.checks:
        mark = Text("ok", style="green") if check.passed else Text("FAILED", style="bold red")
        mark = Text("skipped", style="dim") if check.skipped else mark
        table.add_row(mark, check.name, Text(check.detail, style="bold red" if check.alarming else ""))
    console.print(table)

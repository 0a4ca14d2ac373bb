"""Shows an evaluation while it runs: one bar over all replies, with the row in hand and its accuracy so far."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from thinkport.deploy.evaluation.plan import title
from thinkport.deploy.evaluation.row import EvalRow, Judgement
from thinkport.runtime.thinking.thinking import Thinking


class EvalProgressView:
    """A listener of an evaluation of `replies`, and a context manager that takes the screen; silent on a pipe."""

    def __init__(self, console: Console, replies: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=replies)
        self._asked = self._right = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def row_started(self, plan: Thinking) -> None:
        """Name the row."""
        self._asked = self._right = 0
        self._progress.update(self._task, description=title(plan))

    def replied(self, plan: Thinking, outcome: Judgement) -> None:
        """Move the bar."""
        self._asked += 1
        self._right += outcome.correct
        share = f"{100 * self._right / self._asked:.0f} % right"
        self._progress.update(self._task, advance=1, description=f"{title(plan)}: {share}")

    def row_done(self, row: EvalRow) -> None:
        """Nothing: the table comes at the end."""

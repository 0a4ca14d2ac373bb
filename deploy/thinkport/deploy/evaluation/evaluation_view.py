"""Shows an evaluation while it runs: one bar over all replies, with the current row and its accuracy so far."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from thinkport.deploy.evaluation.evaluator import EvaluationListener
from thinkport.deploy.evaluation.plan import title
from thinkport.deploy.evaluation.row import EvaluationRow, JudgedReply
from thinkport.runtime.thinking.thinking import Thinking


class EvaluationView(Progress, EvaluationListener):
    """Shows an evaluation of `replies` replies while its context is entered; prints nothing to a pipe."""

    def __init__(self, console: Console, replies: int) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self.add_task("", total=replies)
        self._asked = self._right = 0
        self.rows: list[EvaluationRow] = []

    def row_started(self, plan: Thinking) -> None:
        """Show the row's name."""
        self._asked = self._right = 0
        self.update(self._task, description=title(plan))

    def replied(self, plan: Thinking, outcome: JudgedReply) -> None:
        """Move the bar."""
        self._asked += 1
        self._right += outcome.correct
        share = f"{100 * self._right / self._asked:.0f} % right"
        self.update(self._task, advance=1, description=f"{title(plan)}: {share}")

    def row_done(self, row: EvaluationRow) -> None:
        """Keep the row, which is worth showing even if no other one comes."""
        self.rows.append(row)

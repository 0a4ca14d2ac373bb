"""How an evaluation looks: a bar while it runs, then a table of accuracy and one of tokens, each within 80 columns."""

from rich.console import Console
from rich.table import Table

from thinkport.deploy.evaluation.evaluator import Evaluation, EvaluationListener, EvaluationRow, JudgedReply
from thinkport.deploy.evaluation.plan import title
from thinkport.deploy.tables import number_table
from thinkport.runtime.batch.reply_bar import ReplyBar
from thinkport.runtime.thinking.thinking import Thinking

_WAY = ("thinking", "budget", "soft from")
_SEVERAL = ("thinking", "budget", "thoughts")  # where there are several at a time
_NOTES = (
    "95 %: Wilson's interval over all replies. seeds: the lowest and the highest.",
    "thought, other, forced, answer: mean tokens a reply; other ones are of thoughts",
    "that were not chosen, forced ones the runtime wrote.",
    "closed: thoughts that the model itself closed.",
)


class EvaluationView(ReplyBar, EvaluationListener):
    """Shows the progress of `replies` replies within its context; prints nothing to a pipe."""

    def __init__(self, console: Console, replies: int) -> None:
        super().__init__(console)
        self._task = self.add_task("", total=replies)
        self._asked = self._right = 0
        self.rows: list[EvaluationRow] = []

    def row_started(self, plan: Thinking) -> None:
        """Show the row's name."""
        self._asked = self._right = 0
        self.update(self._task, description=title(plan))

    def replied(self, plan: Thinking, reply: JudgedReply) -> None:
        """Move the bar."""
        self._asked += 1
        self._right += reply.correct
        share = f"{100 * self._right / self._asked:.0f} % right"
        self.update(self._task, advance=1, description=f"{title(plan)}: {share}")

    def row_done(self, row: EvaluationRow) -> None:
        """Keep the row, so that it can be shown even if no other one follows."""
        self.rows.append(row)


def show(console: Console, evaluation: Evaluation) -> None:
    """Write both tables."""
    seeds = ", ".join(map(str, evaluation.seeds))
    console.print(f"{evaluation.suite.name}: {len(evaluation.suite.problems)} problems, seeds {seeds}\n")
    console.print(_accuracies(evaluation, console), "", _tokens(evaluation, console), "", sep="\n")
    console.print("\n".join(_NOTES), style="dim")


def percent(share: float) -> str:
    """A share in percent, without the sign: `99.7`."""
    return f"{100 * share:.1f}"


def _accuracies(evaluation: Evaluation, console: Console) -> Table:
    table = number_table(console, *_ways(evaluation), "right", "replies", "accuracy %", "95 %", "seeds")
    for row in evaluation.rows:
        counts, interval = (str(row.total.correct), str(row.total.n)), "-".join(map(percent, row.total.interval))
        table.add_row(*_plan(row, evaluation), *counts, percent(row.total.accuracy), interval, _spread(row))
    return table


def _tokens(evaluation: Evaluation, console: Console) -> Table:
    table = number_table(console, *_ways(evaluation), "thought", "other", "forced", "answer", "closed %", "seconds")
    for row in evaluation.rows:
        means = (row.thought_tokens, row.other_tokens, row.forced_tokens, row.answer_tokens)
        closed = "-" if row.closed_by_model is None else percent(row.closed_by_model)
        table.add_row(*_plan(row, evaluation), *(f"{mean:.1f}" for mean in means), closed, f"{row.seconds:.1f}")
    return table


def _ways(evaluation: Evaluation) -> tuple[str, str, str]:
    return _SEVERAL if any(row.thinking.width > 1 for row in evaluation.rows) else _WAY


def _plan(row: EvaluationRow, evaluation: Evaluation) -> tuple[str, str, str]:
    plan = row.thinking
    soft = "-" if plan.soft_from is None else f"{plan.soft_from:g}"
    return (
        str(plan.enabled),
        "-" if plan.budget is None else str(plan.budget),
        soft if _ways(evaluation) is _WAY else str(plan.width) if plan.width == 1 else f"{plan.width} {plan.choose}",
    )


def _spread(row: EvaluationRow) -> str:
    shares = [tally.accuracy for tally in row.by_seed.values()]
    return "-" if len(shares) == 1 else f"{percent(min(shares))}-{percent(max(shares))}"

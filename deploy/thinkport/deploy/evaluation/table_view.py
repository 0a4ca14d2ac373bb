"""How an evaluation looks in a terminal: one table of accuracy, one of tokens, each within 80 columns."""

from rich.console import Console
from rich.table import Table

from thinkport.deploy.evaluation.evaluator import Evaluation
from thinkport.deploy.evaluation.row import EvaluationRow
from thinkport.deploy.tables import number_table

_WAY = ("thinking", "budget", "soft from")
_NOTES = (
    "95 %: Wilson's interval over all replies. seeds: the lowest and the highest.",
    "thought, forced, answer: mean tokens a reply; forced ones the runtime wrote.",
    "closed: thoughts that the model itself closed.",
)


def show(console: Console, evaluation: Evaluation) -> None:
    """Write both tables."""
    seeds = ", ".join(map(str, evaluation.seeds))
    console.print(f"{evaluation.suite.name}: {len(evaluation.suite.problems)} problems, seeds {seeds}\n")
    console.print(_accuracies(evaluation, console), "", _tokens(evaluation, console), "", sep="\n")
    console.print("\n".join(_NOTES), style="dim")


def percent(share: float) -> str:
    """A share as people read it: `99.7`."""
    return f"{100 * share:.1f}"


def _accuracies(evaluation: Evaluation, console: Console) -> Table:
    table = number_table(console, *_WAY, "right", "replies", "accuracy %", "95 %", "seeds")
    for row in evaluation.rows:
        counts, interval = (str(row.total.correct), str(row.total.n)), "-".join(map(percent, row.total.interval))
        table.add_row(*_plan(row), *counts, percent(row.total.accuracy), interval, _spread(row))
    return table


def _tokens(evaluation: Evaluation, console: Console) -> Table:
    table = number_table(console, *_WAY, "thought", "forced", "answer", "closed %", "seconds")
    for row in evaluation.rows:
        means = (row.thought_tokens, row.forced_tokens, row.answer_tokens)
        closed = "-" if row.closed_by_model is None else percent(row.closed_by_model)
        table.add_row(*_plan(row), *(f"{mean:.1f}" for mean in means), closed, f"{row.seconds:.1f}")
    return table


def _plan(row: EvaluationRow) -> tuple[str, str, str]:
    plan = row.thinking
    return (
        str(plan.enabled),
        "-" if plan.budget is None else str(plan.budget),
        "-" if plan.soft_from is None else f"{plan.soft_from:g}",
    )


def _spread(row: EvaluationRow) -> str:
    shares = [tally.accuracy for tally in row.by_seed.values()]
    return "-" if len(shares) == 1 else f"{percent(min(shares))}-{percent(max(shares))}"

"""How an evaluation looks in a terminal: one table of accuracy, one of tokens, each within 80 columns."""

from rich import box
from rich.console import Console
from rich.table import Table

from thinkport.deploy.evaluation.evaluator import Evaluation
from thinkport.deploy.evaluation.row import EvalRow

_NOTES = (
    "95 %: Wilson's interval over all replies. seeds: the lowest and the highest.",
    "thought, forced, answer: mean tokens a reply; forced ones the runtime wrote.",
    "closed: thoughts that the model itself closed.",
)


def show(console: Console, evaluation: Evaluation) -> None:
    """Write both tables."""
    seeds = ", ".join(map(str, evaluation.seeds))
    console.print(f"{evaluation.suite.name}: {len(evaluation.suite.problems)} problems, seeds {seeds}")
    console.print()
    console.print(_accuracies(evaluation, console))
    console.print()
    console.print(_tokens(evaluation, console))
    console.print()
    console.print("\n".join(_NOTES), style="dim")


def percent(share: float) -> str:
    """A share as people read it: `99.7`."""
    return f"{100 * share:.1f}"


def _accuracies(evaluation: Evaluation, console: Console) -> Table:
    table = _table(console, "right", "replies", "accuracy %", "95 %", "seeds")
    for row in evaluation.rows:
        total = row.total
        low, high = total.interval
        table.add_row(
            *_plan(row),
            str(total.correct),
            str(total.n),
            percent(total.accuracy),
            f"{percent(low)}-{percent(high)}",
            _spread(row),
        )
    return table


def _tokens(evaluation: Evaluation, console: Console) -> Table:
    table = _table(console, "thought", "forced", "answer", "closed %", "seconds")
    for row in evaluation.rows:
        means = (row.thought_tokens, row.forced_tokens, row.answer_tokens)
        closed = "-" if row.closed_by_model is None else percent(row.closed_by_model)
        table.add_row(*_plan(row), *(f"{mean:.1f}" for mean in means), closed, f"{row.seconds:.1f}")
    return table


def _table(console: Console, *numbers: str) -> Table:
    rules, gap = (box.SIMPLE_HEAD, 1) if console.is_terminal else (None, 2)  # rules bring a space of their own
    table = Table(box=rules, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0))
    table.header_style = "dim"
    table.add_column("thinking", no_wrap=True)
    for header in ("budget", "soft from", *numbers):
        table.add_column(header, justify="right", no_wrap=True)
    return table


def _plan(row: EvalRow) -> tuple[str, str, str]:
    plan = row.thinking
    return (
        str(plan.enabled),
        "-" if plan.budget is None else str(plan.budget),
        "-" if plan.soft_from is None else f"{plan.soft_from:g}",
    )


def _spread(row: EvalRow) -> str:
    shares = [tally.accuracy for tally in row.by_seed.values()]
    return "-" if len(shares) == 1 else f"{percent(min(shares))}-{percent(max(shares))}"

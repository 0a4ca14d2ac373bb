"""Draws an evaluation with matplotlib: accuracy against the budget, the tokens that thoughts took, and the seconds.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart with any kind of colour vision;
markers and dashes tell the lines apart in grey.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from thinkport.deploy.evaluation.evaluator import Evaluation, EvaluationRow
from thinkport.deploy.evaluation.plan import cut
from thinkport.runtime.thinking.thinking import Switch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PIXELS = (2400, 825)
_DPI = 150
_STYLES: "tuple[tuple[str, str, Dashes], ...]" = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#E69F00", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#56B4E9", "P", (0, (3, 1))),
    ("#7F6000", "X", (0, (1, 1))),
)
_TICKS = 10  # labels that fit under a panel

Dashes = str | tuple[int, tuple[float, ...]]
Cost = Callable[[EvaluationRow], float]


def save_plot(evaluation: Evaluation, path: Path, *, title: str) -> None:
    """Write a PNG of `PIXELS`, under the `title`.

    Raises:
        OSError: the file can't be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PIXELS[0] / _DPI, PIXELS[1] / _DPI), dpi=_DPI, layout="constrained")
    budgets, tokens, seconds = figure.subplots(1, 3, sharey=True)
    _against_budget(budgets, evaluation.rows)
    _against(tokens, evaluation.rows, lambda row: row.thought_tokens + row.other_tokens)
    tokens.set_xlabel("mean length of a reply's thoughts (tokens, all that were begun)")
    tokens.set_title("at equal tokens (numbers: the hard budgets)", fontsize="medium")
    _against(seconds, evaluation.rows, lambda row: row.seconds_a_reply)
    seconds.set_xlabel("mean time of a reply (seconds, prompt and answer included)")
    seconds.set_title("at equal seconds", fontsize="medium")
    handles, labels = budgets.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    suite, seeds = evaluation.suite, len(evaluation.seeds)
    counts = f"{len(suite.problems)} problems, {seeds} {'seed' if seeds == 1 else 'seeds'}"
    figure.suptitle(f"{title} on {suite.name} ({counts}; bands and bars: 95 % intervals)", fontsize="large")
    figure.savefig(path, format="png")


def _against_budget(axes: "Axes", rows: Sequence[EvaluationRow]) -> None:
    for row, label, colour, dashes in _levels(rows):
        axes.axhline(100 * row.total.accuracy, color=colour, linestyle=dashes, linewidth=1.5, label=label)
        low, high = _band([row])
        axes.axhspan(low[0], high[0], color=colour, alpha=0.12, linewidth=0)
    for (label, line), (colour, marker, dashes) in zip(_lines(rows), cycle(_STYLES)):
        budgets = [row.thinking.budget or 0 for row in line]
        axes.plot(budgets, _accuracies(line), color=colour, marker=marker, linestyle=dashes, label=label)
        axes.fill_between(budgets, *_band(line), color=colour, alpha=0.15, linewidth=0)
    _budget_scale(axes, sorted({row.thinking.budget for row in rows if row.thinking.budget is not None}))
    axes.set(xlabel="thinking budget (tokens)", ylabel="accuracy (% of replies)", ylim=(-2, 106))
    axes.set_title("at equal budgets", fontsize="medium")
    axes.grid(alpha=0.25)


def _against(axes: "Axes", rows: Sequence[EvaluationRow], cost: Cost) -> None:
    """Accuracy against what a reply costs on average."""
    for row, _, colour, _ in _levels(rows):
        _points(axes, [row], cost, colour, "X", "none")
    for (_, line), (colour, marker, dashes) in zip(_lines(rows), cycle(_STYLES), strict=False):
        _points(axes, line, cost, colour, marker, dashes)
    for (x, y), names in _named_places(rows, cost).items():
        # A curve rises to the right, so the place above and to the left of a point is free.
        axes.annotate(
            ", ".join(names), (x, y), (-7, 3), textcoords="offset points", ha="right", va="bottom", fontsize="x-small"
        )
    axes.margins(x=0.08)
    axes.grid(alpha=0.25)


def _points(axes: "Axes", line: Sequence[EvaluationRow], cost: Cost, colour: str, marker: str, dashes: Dashes) -> None:
    """A line through the rows, by their cost and their accuracy, with intervals."""
    at, costs = _accuracies(line), [cost(row) for row in line]
    low, high = _band(line)
    bars = [[a - b for a, b in zip(at, low, strict=True)], [b - a for a, b in zip(at, high, strict=True)]]
    axes.errorbar(costs, at, yerr=bars, color=colour, marker=marker, linestyle=dashes, elinewidth=1, capsize=2)


def _named_places(rows: Sequence[EvaluationRow], cost: Cost) -> dict[tuple[float, float], list[str]]:
    """Labels of the hard budgets by position; labels that would overlap share one position."""
    widest = max(map(cost, rows)) or 1
    places: dict[tuple[float, float], list[str]] = {}
    for row in sorted(rows, key=lambda row: (row.thinking.budget is None, row.thinking.budget or 0)):
        if row.thinking.soft_from is None and row.thinking.width == 1:
            x, y = cost(row), 100 * row.total.accuracy
            near = ((a, b) for a, b in places if abs(a - x) < widest / 50 and abs(b - y) < 3)
            places.setdefault(next(near, (x, y)), []).append(_name(row))
    return places


def _name(row: EvaluationRow) -> str:
    if row.thinking.budget is not None:
        return str(row.thinking.budget)
    return "off" if row.thinking.enabled is Switch.OFF else "no budget"


def _levels(rows: Sequence[EvaluationRow]) -> Iterator[tuple[EvaluationRow, str, str, Dashes]]:
    """The rows without a budget, drawn as horizontal lines."""
    for row in rows:
        if row.thinking.enabled is Switch.OFF:
            yield row, "thinking off", "#555555", (0, (1, 1.5))
        elif row.thinking.budget is None and row.thinking.width == 1:
            yield row, "no budget", "#000000", (0, (8, 2))


def _lines(rows: Sequence[EvaluationRow]) -> list[tuple[str, list[EvaluationRow]]]:
    """The rows with a budget, and of several thoughts, grouped by how it is cut, the hard ones first."""
    lines: dict[str, list[EvaluationRow]] = {}
    for row in rows:
        if row.thinking.budget is not None or row.thinking.width > 1:
            lines.setdefault(cut(row.thinking), []).append(row)
    return [*lines.items()]


def _budget_scale(axes: "Axes", budgets: Sequence[int]) -> None:
    above = [budget for budget in budgets if budget > 0]
    if not above:
        return
    if above == list(budgets):
        axes.set_xscale("log", base=2)
    else:
        axes.set_xscale("symlog", base=2, linthresh=above[0])
    shown = budgets[:: -(-len(budgets) // _TICKS)]
    axes.set_xticks(shown, [str(budget) for budget in shown], minor=False)
    axes.set_xticks([], minor=True)


def _accuracies(rows: Sequence[EvaluationRow]) -> list[float]:
    return [100 * row.total.accuracy for row in rows]


def _band(rows: Sequence[EvaluationRow]) -> tuple[list[float], list[float]]:
    """The lower and the upper ends of the intervals, in percent."""
    intervals = [row.total.interval for row in rows]
    return [100 * low for low, _ in intervals], [100 * high for _, high in intervals]

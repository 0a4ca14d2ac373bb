"""Draws a benchmark with matplotlib: how cost grows with length, or the front of speed against quality.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/); markers tell the lines apart in grey.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from thinkport.deploy.bench.benchmark import Benchmark, BenchRow, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PIXELS = (1500, 675)
_DPI = 125
_STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#56B4E9", "v"), ("#555555", "X"))


def save_growth(bench: Benchmark, path: Path) -> None:
    """Write a PNG of `PIXELS`: milliseconds and memory of a token by context, seconds of a prompt by length.

    All axes are linear, so a line that bends up costs more than its length.

    Raises:
        OSError: the file can't be written.
    """
    figure = _figure(bench)
    left, middle, right = figure.subplots(1, 3)
    _lines(left, bench.rows, bench.plan.contexts, BenchRow.decode, lambda _, speed: 1000 / speed)
    left.set(xlabel="context (tokens)", ylabel="one token (ms)", title="decode")
    _lines(right, bench.rows, bench.plan.prefills, BenchRow.prefill, lambda length, speed: length / speed)
    right.set(xlabel="prompt (tokens)", ylabel="prefill (s)", title="prefill")
    for row, (colour, marker) in zip(bench.rows, cycle(_STYLES)):
        held = row.context_bytes
        middle.plot(list(held), [size / 1e6 for size in held.values()], color=colour, marker=marker)
    middle.set(xlabel="context (tokens)", ylabel="private memory (MB)", title="memory")
    for axes in (left, middle, right):
        axes.set_ylim(0, 1.05 * axes.dataLim.y1)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.25)
    handles, labels = left.get_legend_handles_labels()
    if not handles:
        handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, format="png")


def save_front(bench: Benchmark, path: Path) -> None:
    """Write a PNG of `PIXELS`: each artifact's speed against its divergence, at every context.

    Raises:
        OSError: the file can't be written.
    """
    figure = _figure(bench)
    shown = [row for row in bench.rows if row.figure]
    panels = figure.subplots(1, len(bench.plan.contexts), squeeze=False)[0]
    for axes, context in zip(panels, bench.plan.contexts, strict=True):
        places = [(row, row.figure.kl_mean, row.decode(context)) for row in shown if row.figure]
        known = [(row, kl, speed.best) for row, kl, speed in places if speed]
        for (row, kl, speed), (colour, marker) in zip(known, cycle(_STYLES)):
            axes.plot([kl], [speed], color=colour, marker=marker, linestyle="none", markersize=9, label=row.name)
        best = front([(kl, speed) for _, kl, speed in known])
        axes.plot(*zip(*best, strict=True), color="#999999", linewidth=1, zorder=0, drawstyle="steps-post")
        axes.set(xlabel="mean KL divergence from fp32 (nats)", ylabel="decode (tok/s)", title=f"at context {context}")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.25)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, format="png")


def front(places: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The pairs (divergence, speed) that no other pair beats in both, sorted by divergence."""
    kept: list[tuple[float, float]] = []
    for place in sorted(places, key=lambda place: (place[0], -place[1])):
        if not kept or place[1] > kept[-1][1]:
            kept.append(place)
    return kept


def _figure(bench: Benchmark) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PIXELS[0] / _DPI, PIXELS[1] / _DPI), dpi=_DPI, layout="constrained")
    figure.suptitle(f"{bench.machine.title}; {bench.plan.threads} threads", fontsize="medium")
    return figure


def _lines(
    axes: "Axes",
    rows: Sequence[BenchRow],
    lengths: Sequence[int],
    speed: Callable[[BenchRow, int], Spread | None],
    cost: Callable[[int, float], float],
) -> None:
    for row, (colour, marker) in zip(rows, cycle(_STYLES)):
        found = [(length, speed(row, length)) for length in sorted(lengths)]
        points = [(length, cost(length, spread.best)) for length, spread in found if spread]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=row.name)

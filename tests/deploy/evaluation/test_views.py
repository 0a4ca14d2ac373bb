"""Tables and the picture of an evaluation."""

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from thinkport.deploy.evaluation.evaluator import evaluate
from thinkport.deploy.evaluation.plan import plans
from thinkport.deploy.evaluation.suites import Suite
from thinkport.deploy.evaluation.view import EvaluationView, show


@pytest.mark.parametrize("terminal", [True, False])
def test_both_tables_hold_at_80_columns_and_nothing_is_cut(suite: Suite, fake: Any, terminal: bool) -> None:
    evaluation = evaluate(fake, suite, plans((8, 1024, 32768), (0.75,)), seeds=(0, 1))
    text = io.StringIO()
    show(Console(file=text, width=80, force_terminal=terminal, color_system=None), evaluation)
    drawn = text.getvalue()
    assert max(len(line.rstrip()) for line in drawn.splitlines()) <= 80
    assert "…" not in drawn
    assert terminal or drawn.isascii()
    for said in ("made-up: 20 problems, seeds 0, 1", "32768", "0.75", "100.0", "91.2-100.0", "closed %"):
        assert said in drawn


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_names_the_row_at_a_terminal_and_is_silent_on_a_pipe(suite: Suite, fake: Any, terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=terminal, color_system=None)
    ways = plans((16,))
    with EvaluationView(console, replies=len(ways) * 20) as view:
        evaluate(fake, suite, ways, listener=view)
    shown = text.getvalue()
    if terminal:
        assert "budget 16: " in shown
        assert "60/60" in shown
    else:
        assert shown == ""


def drawn_pixels(path: Path) -> tuple[tuple[int, int], Any]:
    """The size in a PNG's header, and its pixels (height, width, 4) as matplotlib reads them."""
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24]), image.imread(path)


@pytest.mark.parametrize(
    ("budgets", "soft_from"),
    [((8, 16, 32, 64), (0.5, 0.9)), ((0, 16), ()), ((0,), ()), ((), ()), ((*range(1, 40),), ())],
)
def test_a_plot_is_a_png_of_the_stated_size_with_something_in_it(
    suite: Suite, fake: Any, tmp_path: Path, budgets: tuple[int, ...], soft_from: tuple[float, ...]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from thinkport.deploy.evaluation.plot import PIXELS, save_plot

    path = tmp_path / "curve.png"
    save_plot(evaluate(fake, suite, plans(budgets, soft_from)), path, title="fake")
    size, pixels = drawn_pixels(path)
    assert size == PIXELS
    colours = {tuple(int(255 * value) for value in pixel[:3]) for row in pixels[::4] for pixel in row}
    assert ((0, 114, 178) in colours) is bool(budgets)  # the hard budgets' blue
    assert ((213, 94, 0) in colours) is bool(soft_from)


def test_a_plot_shows_what_a_reply_costs_in_seconds(suite: Suite, fake: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from thinkport.deploy.evaluation.plot import save_plot

    evaluation = evaluate(fake, suite, plans((16, 32)))
    costs = ((4.0, 8.0, 2.0, 3.0), (4.0, 8.0, 2.0, 3.0), (4.0, 8.0, 2.0, 7.0))
    drawn = []
    for number, seconds in enumerate(costs):
        rows = tuple(replace(row, seconds=cost) for row, cost in zip(evaluation.rows, seconds, strict=True))
        assert [row.seconds_a_reply for row in rows] == [cost / 20 for cost in seconds]
        save_plot(replace(evaluation, rows=rows), tmp_path / f"{number}.png", title="fake")
        drawn.append((tmp_path / f"{number}.png").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_drawing_leaves_matplotlibs_own_state_alone(suite: Suite, fake: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    import sys

    from thinkport.deploy.evaluation.plot import save_plot

    sys.modules.pop("matplotlib.pyplot", None)
    save_plot(evaluate(fake, suite, plans((16,))), tmp_path / "curve.png", title="fake")
    assert "matplotlib.pyplot" not in sys.modules

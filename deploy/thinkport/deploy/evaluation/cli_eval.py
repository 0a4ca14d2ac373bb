"""What `thinkport eval` does, once its options are read."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from thinkport.deploy.evaluation.comparison import Comparison
from thinkport.deploy.evaluation.evaluator import Evaluation, Replier, check_seeds, evaluate
from thinkport.deploy.evaluation.view import EvaluationView, show
from thinkport.deploy.outputs import Outputs
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.interrupts import INTERRUPTED
from thinkport.runtime.thinking.thinking import Switch, Thinking


def run_eval(
    artifact: Path,
    asked: Evaluation,
    ways: Sequence[Thinking],
    outputs: Outputs,
    *,
    budgets_needed: bool,
    **loading: Any,
) -> None:
    """Check all, load, measure, and write; `loading` goes to `Model.load`.

    A model that can't think has one row, and no budgets that are needed.
    """
    check_seeds(asked.seeds)
    if any(problem.comparison is Comparison.BOXED for problem in asked.suite.problems):
        require("eval", "math_verify")
        # It logs each expression that it can't read; without a handler Python would write that to stderr.
        logging.getLogger("math_verify").addHandler(logging.NullHandler())
    outputs.check()
    with Model.load(artifact, prefix_cache_bytes=0, **loading) as model:
        facts = {"artifact": str(artifact), "model": model.manifest.name}
        facts |= {name: loading[name] for name in ("provider", "threads")}
        if model.manifest.thinking is None:
            if budgets_needed:
                raise InputError("this artifact's model has no thinking markers, so no budgets: leave --budgets out")
            ways = [way for way in ways if way.enabled is Switch.OFF]
        measure_and_write(model, asked, ways, outputs, facts)


def measure_and_write(
    model: Replier, asked: Evaluation, ways: Sequence[Thinking], outputs: Outputs, facts: Mapping[str, Any]
) -> None:
    """Measure and write all rows; on Ctrl-C those that are whole, and end with the code for it."""
    replies = len(ways) * len(asked.seeds) * len(asked.suite.problems)
    view, whole = EvaluationView(Console(stderr=True), replies), True
    try:
        with view:
            evaluate(model, asked.suite, ways, asked.seeds, view, sampling=asked.sampling or None)
    except KeyboardInterrupt:
        whole = False
    if view.rows:
        evaluation = replace(asked, rows=tuple(view.rows))
        if outputs.plot:
            from thinkport.deploy.evaluation.plot import save_plot

            save_plot(evaluation, outputs.plot, title=str(facts["model"]))
        outputs.write({**facts, **evaluation.as_json()}, lambda console: show(console, evaluation))
    if not whole:
        sys.stderr.write(f"thinkport: interrupted after {len(view.rows)} of {len(ways)} rows\n")
        raise typer.Exit(INTERRUPTED)

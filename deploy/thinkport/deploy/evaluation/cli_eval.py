"""What `thinkport eval` does, once its options are read."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console

from thinkport.deploy.evaluation.comparison import Comparison
from thinkport.deploy.evaluation.evaluator import Evaluation, Replier, check_seeds, measure
from thinkport.deploy.evaluation.outputs import Outputs
from thinkport.deploy.evaluation.plan import plans
from thinkport.deploy.evaluation.progress_view import EvalProgressView
from thinkport.deploy.evaluation.row import EvalRow
from thinkport.deploy.evaluation.suite import Suite
from thinkport.deploy.evaluation.suites import find_suite
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.interrupts import INTERRUPTED
from thinkport.runtime.thinking.thinking import Switch, Thinking

Number = TypeVar("Number", int, float)


def run_eval(
    artifact: Path,
    *,
    suite: str,
    compare: str | None,
    question_field: str | None,
    answer_field: str | None,
    suffix: str | None,
    n: int | None,
    seeds: str,
    budgets: str | None,
    soft_from: str | None,
    soft_lift: float,
    max_tokens: int | None,
    sampling: Mapping[str, Any],
    threads: int | None,
    provider: str,
    cache_dir: str | None,
    outputs: Outputs,
) -> None:
    """Read and check all, load, measure, and write; Ctrl-C ends it and keeps the rows that were done."""
    asked = find_suite(
        suite,
        comparison=_comparison(compare),
        question_field=question_field,
        answer_field=answer_field,
        suffix=suffix,
    )
    asked = _adjusted(asked, n, max_tokens, None if budgets is None else listed("budgets", budgets, int))
    ways = plans(asked.budgets, listed("soft-from", soft_from or "", float), soft_lift=soft_lift)
    chosen = listed("seeds", seeds, int)
    check_seeds(chosen)
    _need_packages(asked)
    outputs.check()
    with Model.load(artifact, provider=provider, threads=threads, prefix_cache_bytes=0, cache_dir=cache_dir) as model:
        facts = {"artifact": str(artifact), "model": model.manifest.name, "provider": provider, "threads": threads}
        if model.manifest.thinking is None:
            ways = _off_only(ways, budgets)
        measure_and_write(model, asked, ways, chosen, sampling, outputs, facts)


def measure_and_write(
    model: Replier,
    suite: Suite,
    ways: Sequence[Thinking],
    seeds: Sequence[int],
    sampling: Mapping[str, Any],
    outputs: Outputs,
    facts: Mapping[str, Any],
) -> None:
    """Measure and write all rows; on Ctrl-C those that are whole, and end with the code for it."""
    rows, whole = _measured(model, suite, ways, seeds, sampling)
    if rows:
        outputs.write(Evaluation(suite=suite, seeds=tuple(seeds), sampling=sampling, rows=tuple(rows)), facts)
    if not whole:
        sys.stderr.write(f"thinkport: interrupted after {len(rows)} of {len(ways)} rows\n")
        raise typer.Exit(INTERRUPTED)


def listed(name: str, text: str, kind: Callable[[str], Number]) -> list[Number]:
    """Numbers between commas; no text is no numbers.

    Raises:
        InputError: something else.
    """
    try:
        return [kind(word) for word in text.split(",")] if text.strip() else []
    except ValueError:
        raise InputError(f"--{name} is {text!r}, expected numbers between commas") from None


def _measured(
    model: Replier, suite: Suite, ways: Sequence[Thinking], seeds: Sequence[int], sampling: Mapping[str, Any]
) -> tuple[list[EvalRow], bool]:
    """The rows, and whether they are all."""
    rows: list[EvalRow] = []
    replies = len(ways) * len(seeds) * len(suite.problems)
    try:
        with EvalProgressView(Console(stderr=True), replies) as view:
            for row in measure(model, suite, ways, seeds, view, sampling=sampling or None):
                rows.append(row)  # noqa: PERF402  # what was done survives an interruption
    except KeyboardInterrupt:
        return rows, False
    return rows, True


def _comparison(name: str | None) -> Comparison | None:
    try:
        return None if name is None else Comparison(name)
    except ValueError:
        raise InputError(f"--compare is {name!r}, expected {', '.join(Comparison)}") from None


def _adjusted(suite: Suite, n: int | None, max_tokens: int | None, budgets: Sequence[int] | None) -> Suite:
    suite = suite if n is None else suite.first(n)
    suite = suite if max_tokens is None else replace(suite, max_tokens=max_tokens)
    return suite if budgets is None else replace(suite, budgets=tuple(budgets))


def _need_packages(suite: Suite) -> None:
    if any(problem.comparison is Comparison.BOXED for problem in suite.problems):
        require("eval", "math_verify")
        # It logs each expression that it can't read; without a handler Python would write that to stderr.
        logging.getLogger("math_verify").addHandler(logging.NullHandler())


def _off_only(ways: Sequence[Thinking], budgets: str | None) -> tuple[Thinking, ...]:
    if budgets:
        raise InputError("this artifact's model has no thinking markers, so no budgets: leave --budgets out")
    return tuple(way for way in ways if way.enabled is Switch.OFF)

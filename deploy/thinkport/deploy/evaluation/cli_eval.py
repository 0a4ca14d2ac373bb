"""What `thinkport eval` does, once its options are read."""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console

from thinkport.deploy.evaluation.comparison import Comparison
from thinkport.deploy.evaluation.evaluator import Evaluation, Replier, check_seeds, measure
from thinkport.deploy.evaluation.plan import plans
from thinkport.deploy.evaluation.progress_view import ProgressView
from thinkport.deploy.evaluation.row import Row
from thinkport.deploy.evaluation.suite import Suite
from thinkport.deploy.evaluation.suites import find_suite
from thinkport.deploy.evaluation.table_view import show
from thinkport.deploy.extras import require
from thinkport.runtime.errors import InputError
from thinkport.runtime.interrupt import INTERRUPTED
from thinkport.runtime.model import Model
from thinkport.runtime.thinking import Switch, Thinking

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where the result goes: JSON or tables on stdout, and files if asked for."""

    as_json: bool
    out: Path | None
    plot: Path | None

    def check(self) -> None:
        """Make the folders, and find out now and not hours later what can't be written.

        Raises:
            InputError: a folder or another kind of picture where a file is expected.
            MissingExtraError: a plot without matplotlib.
        """
        if self.plot:
            require("eval", "matplotlib")
            if self.plot.suffix.lower() != ".png":
                raise InputError(f"the plot is {self.plot.name!r}, expected a name that ends in .png")
        for path in (self.out, self.plot):
            if path and path.is_dir():
                raise InputError(f"{path} is a folder, expected a file: add a name")
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, evaluation: Evaluation, facts: Mapping[str, Any]) -> None:
        """Write everything that was asked for."""
        text = json.dumps({**facts, **evaluation.as_json()}, indent=2, ensure_ascii=False) + "\n"
        if self.out:
            self.out.write_text(text, encoding="utf-8")
        if self.plot:
            from thinkport.deploy.evaluation.plot import save_plot

            save_plot(evaluation, self.plot, title=str(facts["model"]))
        if self.as_json:
            sys.stdout.write(text)
        else:
            show(Console(highlight=False, markup=False, emoji=False), evaluation)


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
    max_tokens: int | None,
    sampling: Mapping[str, Any],
    threads: int | None,
    provider: str,
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
    ways = plans(asked.budgets, listed("soft-from", soft_from or "", float))
    chosen = listed("seeds", seeds, int)
    check_seeds(chosen)
    _need_packages(asked)
    outputs.check()
    with Model.load(artifact, provider=provider, threads=threads) as model:
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
) -> tuple[list[Row], bool]:
    """The rows, and whether they are all."""
    rows: list[Row] = []
    replies = len(ways) * len(seeds) * len(suite.problems)
    try:
        with ProgressView(Console(stderr=True), replies) as view:
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

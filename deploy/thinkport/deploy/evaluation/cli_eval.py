"""What `thinkport eval` does, once its options are read: replies are judged, or a text is scored."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import typer
from rich.console import Console

from thinkport.deploy.evaluation.comparison import Comparison
from thinkport.deploy.evaluation.evaluator import Evaluation, Replier, check_seeds, evaluate
from thinkport.deploy.evaluation.view import EvaluationView, show
from thinkport.deploy.outputs import Outputs
from thinkport.deploy.tables import facts_table
from thinkport.runtime.engine.row_settings import MAX_ROWS, RowSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require
from thinkport.runtime.model import Model
from thinkport.runtime.providers.trials import finish_trials
from thinkport.runtime.terminal.interrupts import INTERRUPTED
from thinkport.runtime.text_score import TextScore
from thinkport.runtime.thinking.thinking import Switch, Thinking

_FIGURES = [
    "perplexity",
    "bits_per_byte",
    "nats_per_token",
    "logprob",
    "positions",
    "bytes",
    "window",
    "stride",
    "windows",
]
WINDOW = 2048  # tokens: the whole context of a model would take memory and, as its square, time


def run_eval(
    artifact: Path,
    asked: Evaluation,
    ways: Sequence[Thinking],
    outputs: Outputs,
    *,
    budgets_needed: bool,
    **loading: Any,
) -> None:
    """Check everything, load the model, measure and write; `loading` goes to `Model.load`.

    A model that can't think has one row; asking for budgets is then an error.
    """
    check_seeds(asked.seeds)
    if any(problem.comparison is Comparison.BOXED for problem in asked.suite.problems):
        require("eval", "math_verify")
        # It logs each expression that it can't read; without a handler Python would write that to stderr.
        logging.getLogger("math_verify").addHandler(logging.NullHandler())
    outputs.check()
    finish_trials(artifact, loading["provider"])
    rows = RowSettings(max_rows=max([MAX_ROWS, *(way.width for way in ways)]))
    with Model.load(artifact, prefix_cache_bytes=0, rows=rows, **loading) as model:
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
    """Measure and write all rows. On Ctrl-C write the finished rows and exit with the code for an interruption."""
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


@dataclass(frozen=True, kw_only=True)
class PerplexityFile:
    """A scored text file."""

    file: Path
    score: TextScore
    graph: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        figures = {name: getattr(self.score, name) for name in _FIGURES}
        return {"file": str(self.file), "graph": self.graph, **figures, "seconds": self.seconds}

    def show(self, console: Console) -> None:
        """Write a line a figure."""
        found = self.score
        how = f"{found.windows} of at most {found.window} tokens, a stride of {found.stride}"
        console.print(
            facts_table(
                ("file", str(self.file)),
                ("graph", self.graph),
                ("perplexity", f"{found.perplexity:.4g}"),
                ("bits a byte", f"{found.bits_per_byte:.4f}"),
                ("nats a token", f"{found.nats_per_token:.4f}"),
                ("positions", f"{found.positions:,} tokens of {found.bytes:,} bytes"),
                ("windows", how),
                ("seconds", f"{self.seconds:.1f}"),
            )
        )


def run_perplexity(
    artifact: Path, file: Path, outputs: Outputs, *, window: int | None, stride: int | None, **loading: Any
) -> None:
    """Check everything, load the model, score and write; `loading` goes to `Model.load`.

    Raises:
        InputError: the file is no text, or the window is out of range.
        ThinkportError: the artifact can't be run.
    """
    text = read_text(file)
    outputs.check()
    finish_trials(artifact, loading["provider"])
    with Model.load(artifact, prefix_cache_bytes=0, **loading) as model:
        begun = perf_counter()
        with Console(stderr=True).status(f"Scoring {file.name}"):
            window = min(WINDOW, model.session.context_length) if window is None else window
            found = model.score(text, window=window, stride=stride)
        chosen = model.provider_report.chosen
        scored = PerplexityFile(
            file=file, score=found, graph=chosen.graph if chosen else "", seconds=perf_counter() - begun
        )
        facts = {"artifact": str(artifact), "model": model.manifest.name}
    facts |= {name: loading[name] for name in ("provider", "threads")}
    outputs.write({**facts, **scored.as_json()}, scored.show)


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        InputError: it can't be read, is not UTF-8, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}): give --perplexity a text file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}): convert it first") from error
    if not text.strip():
        raise InputError(f"{path} holds no text to score: give --perplexity a text file")
    return text

"""Asks a model a suite's questions, once for each way of thinking and seed, and scores the replies.

Knows nothing of files and screens: whoever shows progress listens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import Any, Protocol

from thinkport.deploy.evaluation.comparison import matches
from thinkport.deploy.evaluation.row import EvaluationRow, JudgedReply
from thinkport.deploy.evaluation.suite import Suite
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End
from thinkport.runtime.thinking.thinking import Thinking

Sampling = SamplingSettings | Mapping[str, Any]
_MOST_PROBLEMS = 1_000_000  # seeds of the replies are this far apart from one seed to the next


class EvaluationListener:
    """Its methods are called as things happen, in the evaluating thread; override what you need."""

    def row_started(self, plan: Thinking) -> None:
        """A way of thinking begins."""

    def replied(self, plan: Thinking, outcome: JudgedReply) -> None:
        """One reply came and was judged."""

    def row_done(self, row: EvaluationRow) -> None:
        """A way of thinking is measured."""


class Replier(Protocol):
    """What is evaluated: a `thinkport.runtime.Model`, or anything that answers as one."""

    def generate(
        self, prompt: str, /, *, thinking: Thinking, max_tokens: int | None, sampling: Sampling | None, seed: int
    ) -> End:
        """The whole reply to a question; the same seed gives the same reply."""
        ...


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that decides the figures, and what was measured: a row for each way of thinking, none before."""

    suite: Suite
    seeds: tuple[int, ...]
    sampling: Sampling | None
    rows: tuple[EvaluationRow, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        sampling = vars(self.sampling) if isinstance(self.sampling, SamplingSettings) else dict(self.sampling or {})
        return {
            "suite": self.suite.name,
            "problems": len(self.suite.problems),
            "seeds": list(self.seeds),
            "max_tokens": self.suite.max_tokens,
            "suffix": self.suite.suffix,
            "sampling": sampling,
            "rows": [row.as_json() for row in self.rows],
        }


def evaluate(
    model: Replier,
    suite: Suite,
    plans: Sequence[Thinking],
    seeds: Sequence[int] = (0,),
    listener: EvaluationListener | None = None,
    *,
    sampling: Sampling | None = None,
) -> Evaluation:
    """Measure every plan on every problem with every seed; the same arguments give the same figures, seconds apart.

    `sampling` replaces values of the presets of both modes. A listener gets each row as soon as it is
    done, so that an interruption loses one row at most.

    Raises:
        InputError: seeds that are none, negative or there twice, or a request that the model refuses.
    """
    check_seeds(seeds)
    listener, rows = listener or EvaluationListener(), []
    for plan in plans:
        listener.row_started(plan)
        outcomes = []
        for seed, (number, problem) in product(seeds, enumerate(suite.problems)):
            start = perf_counter()
            end = model.generate(
                suite.prompt(problem),
                thinking=plan,
                max_tokens=suite.max_tokens,
                sampling=sampling,
                seed=seed * _MOST_PROBLEMS + number,
            )
            seconds = perf_counter() - start
            correct = matches(problem.comparison, end.answer, problem.answer)
            outcomes.append(JudgedReply(problem=problem, seed=seed, end=end, correct=correct, seconds=seconds))
            listener.replied(plan, outcomes[-1])
        rows.append(EvaluationRow.of(plan, outcomes))
        listener.row_done(rows[-1])
    return Evaluation(suite=suite, seeds=tuple(seeds), sampling=sampling, rows=tuple(rows))


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise `InputError` for seeds that are none, negative or there twice."""
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds are {', '.join(map(str, seeds)) or 'none'}, expected different ones, each 0 or more")

"""Asks a model a suite's questions, once for each way of thinking and seed, and adds up what came.

Knows nothing of files and screens: whoever shows progress listens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from thinkport.deploy.evaluation.comparison import matches
from thinkport.deploy.evaluation.progress import EvalListener, SilentEval
from thinkport.deploy.evaluation.row import EvalRow, Judgement
from thinkport.deploy.evaluation.suite import Problem, Suite
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End
from thinkport.runtime.thinking.thinking import Thinking

Sampling = SamplingSettings | Mapping[str, Any]
_MOST_PROBLEMS = 1_000_000  # seeds of the replies are this far apart from one seed to the next


class Replier(Protocol):
    """What is evaluated: a `thinkport.runtime.Model`, or anything that answers as one."""

    def generate(
        self,
        prompt: str,
        /,
        *,
        thinking: Thinking,
        max_tokens: int | None,
        sampling: Sampling | None,
        seed: int,
    ) -> End:
        """The whole reply to a question; the same seed gives the same reply."""
        ...


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured, a row for each way of thinking, and all that decides the figures."""

    suite: Suite
    seeds: tuple[int, ...]
    sampling: Sampling | None
    rows: tuple[EvalRow, ...]

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
    listener: EvalListener | None = None,
    *,
    sampling: Sampling | None = None,
) -> Evaluation:
    """Measure every plan on every problem with every seed; the same arguments give the same figures, seconds apart.

    `sampling` replaces values of the presets of both modes.

    Raises:
        InputError: seeds that are none, negative or there twice, or a request that the model refuses.
    """
    rows = tuple(measure(model, suite, plans, seeds, listener, sampling=sampling))
    return Evaluation(suite=suite, seeds=tuple(seeds), sampling=sampling, rows=rows)


def measure(
    model: Replier,
    suite: Suite,
    plans: Sequence[Thinking],
    seeds: Sequence[int] = (0,),
    listener: EvalListener | None = None,
    *,
    sampling: Sampling | None = None,
) -> Iterator[EvalRow]:
    """The rows of `evaluate`, one at a time, for whoever wants those that were done when it was interrupted."""
    check_seeds(seeds)
    listener = listener or SilentEval()
    for plan in plans:
        listener.row_started(plan)
        outcomes = []
        for seed, number, problem in _questions(suite, seeds):
            outcome = _ask(model, suite, problem, plan, seed, number, sampling)
            outcomes.append(outcome)
            listener.replied(plan, outcome)
        row = EvalRow.of(plan, outcomes)
        listener.row_done(row)
        yield row


def _questions(suite: Suite, seeds: Sequence[int]) -> Iterator[tuple[int, int, Problem]]:
    for seed in seeds:
        for number, problem in enumerate(suite.problems):
            yield seed, number, problem


def _ask(
    model: Replier, suite: Suite, problem: Problem, plan: Thinking, seed: int, number: int, sampling: Sampling | None
) -> Judgement:
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
    return Judgement(problem=problem, seed=seed, end=end, correct=correct, seconds=seconds)


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise `InputError` for seeds that are none, negative or there twice."""
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds are {', '.join(map(str, seeds)) or 'none'}, expected different ones, each 0 or more")

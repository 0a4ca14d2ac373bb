"""Asks a model a suite's questions, once for each way of thinking and seed, scores the replies and adds them up.

Knows nothing of files and screens: a listener shows progress.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist, fmean
from time import perf_counter
from typing import Any, Protocol

from thinkport.deploy.evaluation.comparison import matches
from thinkport.deploy.evaluation.suites import Problem, Suite
from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End
from thinkport.runtime.thinking.thinking import Switch, Thinking, ThinkingEnd

_FIGURES = (
    "thought_tokens",
    "answer_tokens",
    "forced_tokens",
    "other_tokens",
    "seconds",
    "closed_naturally",
    "closed_by_model",
)
_Z = NormalDist().inv_cdf(0.975)  # two sides of 95 %
Sampling = SamplingSettings | Mapping[str, Any]
_MOST_PROBLEMS = 1_000_000  # seeds of the replies are this far apart from one seed to the next


@dataclass(frozen=True, kw_only=True)
class JudgedReply:
    """One reply and whether it is right; `seconds` is the time of the whole reply."""

    problem: Problem
    seed: int
    end: End
    correct: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many of `n` replies are right."""

    n: int
    correct: int

    @classmethod
    def of(cls, replies: Iterable[JudgedReply]) -> "Tally":
        """Count the replies and the right ones."""
        right = [reply.correct for reply in replies]
        return cls(n=len(right), correct=sum(right))

    @property
    def accuracy(self) -> float:
        """The share that is right, 0 to 1."""
        return self.correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval of the accuracy at 95 % (https://doi.org/10.2307/2276774).

        It takes replies as independent. Replies to one question with several seeds are not quite independent, so over
        several seeds the interval is somewhat too narrow as a statement about other questions.
        """
        n, p = self.n, self.accuracy
        middle = p + _Z**2 / (2 * n)
        half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
        scale = 1 + _Z**2 / n
        return min(p, (middle - half) / scale), max(p, (middle + half) / scale)  # rounding alone would cross p

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"n": self.n, "correct": self.correct, "accuracy": self.accuracy}


@dataclass(frozen=True, kw_only=True)
class EvaluationRow:
    """The figures of one way of thinking.

    total, by_seed, by_task: right answers among all replies, among each seed's and among each task's. Tokens are means
    a reply: thought and answer tokens that the model wrote, tokens that the runtime wrote (`forced`), and what was
    written for thoughts that were not chosen (`other`). seconds: of all replies, one after the other. thinking_ends,
    answer_ends: how often each reason ended one.
    """

    thinking: Thinking
    total: Tally
    by_seed: dict[int, Tally]
    by_task: dict[str, Tally]
    thought_tokens: float
    answer_tokens: float
    forced_tokens: float
    other_tokens: float
    seconds: float
    thinking_ends: dict[ThinkingEnd, int]
    answer_ends: dict[Finish, int]

    @classmethod
    def of(cls, thinking: Thinking, replies: Sequence[JudgedReply]) -> "EvaluationRow":
        """Add up the replies, at least one."""
        ends, seeds = [reply.end for reply in replies], {reply.seed for reply in replies}
        tasks = {reply.problem.task for reply in replies if reply.problem.task is not None}
        return cls(
            thinking=thinking,
            total=Tally.of(replies),
            by_seed={seed: Tally.of(one for one in replies if one.seed == seed) for seed in sorted(seeds)},
            by_task={task: Tally.of(one for one in replies if one.problem.task == task) for task in sorted(tasks)},
            thought_tokens=fmean(end.thought_tokens for end in ends),
            answer_tokens=fmean(end.answer_tokens for end in ends),
            forced_tokens=fmean(end.forced_tokens for end in ends),
            other_tokens=fmean(end.parallel.tokens if end.parallel else 0 for end in ends),
            seconds=sum(reply.seconds for reply in replies),
            thinking_ends=dict(Counter(end.thinking_end for end in ends).most_common()),
            answer_ends=dict(Counter(end.answer_end for end in ends).most_common()),
        )

    @property
    def seconds_a_reply(self) -> float:
        """Mean seconds of a reply, prompt and answer included."""
        return self.seconds / self.total.n

    @property
    def closed_by_model(self) -> float | None:
        """Share of thoughts that the model closed, including those where closing was made likelier.

        None with thinking off.
        """
        return self._share(ThinkingEnd.NATURAL, ThinkingEnd.SOFT)

    @property
    def closed_naturally(self) -> float | None:
        """Share of thoughts that the model closed by itself; None with thinking off."""
        return self._share(ThinkingEnd.NATURAL)

    def as_json(self) -> dict[str, Any]:
        """For programs; `n` counts replies, so `accuracy` is `correct / n`."""
        return {
            "thinking": str(self.thinking.enabled),
            "budget": self.thinking.budget,
            "soft_from": self.thinking.soft_from,
            "soft_lift": None if self.thinking.soft_from is None else self.thinking.soft_lift,
            "width": self.thinking.width,
            "choose": None if self.thinking.width == 1 else str(self.thinking.choose),
            **self.total.as_json(),
            "interval_95": list(self.total.interval),
            **{name: getattr(self, name) for name in _FIGURES},
            "thinking_ends": {str(end): count for end, count in self.thinking_ends.items()},
            "answer_ends": {str(end): count for end, count in self.answer_ends.items()},
            "by_seed": [{"seed": seed, **tally.as_json()} for seed, tally in self.by_seed.items()],
            "by_task": {task: tally.as_json() for task, tally in self.by_task.items()},
        }

    def _share(self, *reasons: ThinkingEnd) -> float | None:
        if self.thinking.enabled is Switch.OFF:
            return None
        return sum(self.thinking_ends.get(reason, 0) for reason in reasons) / self.total.n


class EvaluationListener:
    """Hears of each step, in the evaluating thread; override the methods that you need."""

    def row_started(self, plan: Thinking) -> None:
        """A way of thinking begins."""

    def replied(self, plan: Thinking, reply: JudgedReply) -> None:
        """One reply was judged."""

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
    """All settings that decide the figures, and the figures: one row for each way of thinking."""

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
    """Measure every plan on every problem with every seed; the same arguments give the same figures, but for seconds.

    `sampling` replaces values of the presets of both modes. A listener gets each row as soon as it is done, so an
    interruption loses at most one row.

    Raises:
        InputError: no seeds, negative ones or the same one twice, or a request that the model refuses.
    """
    check_seeds(seeds)
    listener, rows = listener or EvaluationListener(), []
    for plan in plans:
        listener.row_started(plan)
        replies = []
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
            replies.append(JudgedReply(problem=problem, seed=seed, end=end, correct=correct, seconds=seconds))
            listener.replied(plan, replies[-1])
        rows.append(EvaluationRow.of(plan, replies))
        listener.row_done(rows[-1])
    return Evaluation(suite=suite, seeds=tuple(seeds), sampling=sampling, rows=tuple(rows))


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise `InputError` if there are no seeds, a negative one, or the same one twice."""
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds are {', '.join(map(str, seeds)) or 'none'}, expected different ones, each 0 or more")

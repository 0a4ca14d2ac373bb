"""What closing a thought early could save, and what two rules for it would: `python early_exit.py ARTIFACT`.

At each end of a sentence or line of a thought that the model wrote to its end, two signs are measured: the margin of
the likeliest token over `</think>` (https://arxiv.org/abs/2510.00546), and the confidence of the answer that the model
would give there, the geometric mean of its greedy tokens' probabilities (https://arxiv.org/abs/2504.15895). A rule
closes a thought at the first end whose sign passes a threshold; its answer is the one measured there. Last, the
rule with the fewest tokens that loses no right answer is chosen on every other problem, and held on the rest.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, inf, sqrt
from pathlib import Path
from statistics import fmean, stdev

from thinkport.deploy.evaluation.comparison import matches
from thinkport.deploy.evaluation.suites import Problem, arithmetic
from thinkport.runtime import Engine, Finish, Model, Sampler, SamplingSettings
from thinkport.runtime.engine.generation import LogprobRecorder
from thinkport.runtime.thinking.soft_closing import Boundaries

LONGEST_THOUGHT, LONGEST_ANSWER = 512, 32
CONFIDENCES = (0.9, 0.99, 0.999, 0.9999, 0.99999)
MARGINS = (2.0, 5.0, 8.0, 10.0, 12.0, 14.0)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a thought might be closed: after so many of its tokens, with the signs there and the answer's worth.

    `probe` is what finding the answer took, in tokens.
    """

    tokens: int
    margin: float
    confidence: float
    right: bool
    probe: int


@dataclass(frozen=True, kw_only=True)
class MeasuredThought:
    """The places of a thought in their order; the last is its own end."""

    places: Sequence[Place]


class EarlyExits:
    """Thoughts of one model and their places."""

    def __init__(self, model: Model):
        assert model.manifest.thinking is not None, "a model without thoughts"
        self._model, self._ids = model, model.manifest.thinking
        self._writing: Engine = model.engine()
        self._probing: Engine = model.engine()
        self._boundaries = Boundaries(model.tokenizer)
        self._line, self._break = model.tokenizer.encode_plain("\n"), model.tokenizer.encode_plain("\n\n")

    def measure(self, problem: Problem, seed: int) -> MeasuredThought | None:
        """The thought about a problem; None if it doesn't end."""
        prompt = self._model.encode([{"role": "user", "content": problem.question}], enable_thinking=True)
        sampler = Sampler(self._model.sampling(None, thinks=True), seed=seed)
        tokens = self._writing.generate(prompt, sampler, stop_ids=[self._ids.end], max_tokens=LONGEST_THOUGHT)
        ids = [token.id for token in tokens if token.id is not None]
        if ids[-1] != self._ids.end:
            return None
        opened = ids[:1] == [self._ids.start]
        prompt, thought = prompt + ids[:opened], ids[opened:-1]
        ends = [at for at in range(1, len(thought)) if self._boundaries.ends(thought[at - 1])]
        return MeasuredThought(places=[self._place(problem, prompt, thought[:at]) for at in [*ends, len(thought)]])

    def _place(self, problem: Problem, prompt: list[int], thought: list[int]) -> Place:
        row = self._probing.last_row(prompt + thought)
        assert row is not None
        broken = self._model.tokenizer.decode(thought[-1:]).endswith("\n")
        closed = [*prompt, *thought, *([] if broken else self._line), self._ids.end, *self._break]
        recorder, answer, logprobs = LogprobRecorder(0), list[int](), list[float]()
        greedy = Sampler(SamplingSettings(temperature=0.0), seed=0, watch=recorder.record)
        stops = self._model.manifest.stop_ids
        for token in self._probing.generate(closed, greedy, stop_ids=stops, max_tokens=LONGEST_ANSWER):
            logprobs.append(noted.logprob if (noted := recorder.take()) else 0.0)
            if token.id is not None and token.finish is not Finish.STOP:
                answer.append(token.id)
        return Place(
            tokens=len(thought),
            margin=float(row.max() - row[self._ids.end]),
            confidence=exp(fmean(logprobs)),
            right=matches(problem.comparison, self._model.tokenizer.decode(answer), problem.answer),
            probe=len(logprobs) + len(closed) - len(prompt) - len(thought),
        )


Rule = Callable[[Place], bool]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A rule over thoughts: the share of right answers and of closed thoughts, mean tokens of thoughts and of probes.

    `change` is the mean difference of right answers, and `half` half of its 95 % interval, pairwise.
    """

    right: float
    change: float
    half: float
    closed: float
    tokens: float
    probes: float

    @classmethod
    def of(cls, thoughts: Sequence[MeasuredThought], rule: Rule, *, probes: bool) -> "Outcome":
        """What the rule gives."""
        exits = [next((at for at, place in enumerate(one.places[:-1]) if rule(place)), -1) for one in thoughts]
        taken = [one.places[at] for one, at in zip(thoughts, exits, strict=True)]
        changes = [float(place.right) - one.places[-1].right for one, place in zip(thoughts, taken, strict=True)]
        asked = [one.places[: at + 1 if at >= 0 else -1] for one, at in zip(thoughts, exits, strict=True)]
        return cls(
            right=fmean(place.right for place in taken),
            change=fmean(changes),
            half=1.96 * stdev(changes) / sqrt(len(changes)),
            closed=fmean(at >= 0 for at in exits),
            tokens=fmean(place.tokens for place in taken),
            probes=fmean(sum(place.probe for place in places) for places in asked) if probes else 0.0,
        )

    def told(self) -> str:
        """A line of the table."""
        return (
            f"closed {self.closed:6.1%}  right {self.right:6.2%} ({self.change:+.2%} ± {self.half:.2%})  "
            f"thought {self.tokens:5.2f}  probes {self.probes:5.2f}"
        )


def earliest(thought: MeasuredThought) -> float:
    """Tokens up to the first place from which on every answer is right: no rule can do better and lose nothing."""
    found = thought.places[-1].tokens
    for place in reversed(thought.places):
        if not place.right:
            break
        found = place.tokens
    return float(found)


def rules() -> Iterator[tuple[str, Rule, bool]]:
    """The rules of the table: their names, what closes, and whether they have to probe."""
    for most in MARGINS:
        yield f"margin <= {most:g}", lambda place, most=most: place.margin <= most, False  # type: ignore[misc]
    for least in CONFIDENCES:
        yield f"confidence >= {least:g}", lambda place, least=least: place.confidence >= least, True  # type: ignore[misc]


def chosen(thoughts: Sequence[MeasuredThought]) -> tuple[str, Rule, bool]:
    """The rule of the table with the fewest tokens whose answers are not worse than those of the ends."""

    def tokens(named: tuple[str, Rule, bool]) -> float:
        outcome = Outcome.of(thoughts, named[1], probes=False)
        return outcome.tokens if outcome.change >= 0 else inf

    never: tuple[str, Rule, bool] = ("none", lambda place: False, False)
    return min([never, *rules()], key=tokens)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--n", type=int, default=600, help="problems")
    asked = parser.parse_args()
    with Model.load(asked.artifact, prefix_cache_bytes=0, provider="cpu") as model:
        exits = EarlyExits(model)
        measured = [exits.measure(one, seed) for seed, one in enumerate(arithmetic().first(asked.n).problems)]
    thoughts = [one for one in measured if one is not None]
    places = [place for one in thoughts for place in one.places[:-1]]
    print(
        f"{len(thoughts)} thoughts with {len(places)} places; {fmean(place.right for place in places):.1%} answer right"
    )
    print(f"{'the first place that stays right':22}  thought {fmean(map(earliest, thoughts)):.2f}")
    print(f"{'every thought to its end':22}  {Outcome.of(thoughts, lambda place: False, probes=False).told()}")
    for name, rule, probes in rules():
        print(f"{name:22}  {Outcome.of(thoughts, rule, probes=probes).told()}")
    for one, other in ((0, 1), (1, 0)):
        name, rule, probes = chosen(thoughts[one::2])
        print(
            f"chosen on half {one}: {name}; on the other: {Outcome.of(thoughts[other::2], rule, probes=probes).told()}"
        )


if __name__ == "__main__":
    main()

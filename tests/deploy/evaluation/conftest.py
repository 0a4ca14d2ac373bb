"""A written fake of a model: its thoughts have lengths drawn by the seed, and cut thoughts give wrong answers."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from thinkport.deploy.evaluation.suites import Problem, Suite
from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import End, Speed
from thinkport.runtime.thinking.thinking import DecidedBy, Switch, Thinking, ThinkingEnd

MESSAGE_TOKENS = 5


@dataclass
class FakeModel:
    """Right when a thought of 10 to 39 tokens was not cut; `calls` are the arguments of every question."""

    answers: Mapping[str, str]
    calls: list[dict[str, Any]] = field(default_factory=list)

    def generate(self, prompt: str, **options: Any) -> End:
        self.calls.append({"prompt": prompt, **options})
        thinking: Thinking = options["thinking"]
        assert isinstance(thinking.enabled, Switch)
        if thinking.enabled is Switch.OFF:
            return reply("guess", ThinkingEnd.OFF, enabled=Switch.OFF)
        wanted = random.Random(options["seed"]).randint(10, 39)
        if thinking.budget is None or wanted <= thinking.budget:
            return reply(self.answers[prompt], ThinkingEnd.NATURAL, thought=wanted)
        if thinking.soft_from is not None:
            return reply("cut softly", ThinkingEnd.SOFT, thought=int(thinking.soft_from * thinking.budget))
        return reply("cut", ThinkingEnd.BUDGET, thought=thinking.budget, forced=MESSAGE_TOKENS)


def reply(
    answer: str, end: ThinkingEnd, *, thought: int = 0, forced: int = 0, enabled: Switch = Switch.ON, tokens: int = 1
) -> End:
    return End(
        thought="",
        answer=answer,
        thinking_end=end,
        answer_end=Finish.STOP,
        enabled=enabled,
        decided_by=DecidedBy.CALL,
        prompt_tokens=3,
        cached_tokens=0,
        forced_tokens=forced,
        prefill=Speed(tokens=3, seconds=0.1),
        thinking=Speed(tokens=thought, seconds=0.1),
        answering=Speed(tokens=tokens, seconds=0.1),
    )


@pytest.fixture
def suite() -> Suite:
    problems = [Problem(question=f"question {n}", answer=str(n), task=["even", "odd"][n % 2]) for n in range(20)]
    return Suite(name="made-up", problems=tuple(problems), max_tokens=64, budgets=(16, 32))


@pytest.fixture
def fake(suite: Suite) -> FakeModel:
    return FakeModel({problem.question: problem.answer for problem in suite.problems})


@pytest.fixture(scope="session")
def new_reply() -> Callable[..., End]:
    return reply

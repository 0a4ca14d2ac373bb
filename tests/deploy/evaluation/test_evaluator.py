"""Rows: what is asked, how often, and what the replies add up to."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from thinkport.deploy.evaluation.evaluator import (
    Evaluation,
    EvaluationListener,
    EvaluationRow,
    JudgedReply,
    Tally,
    evaluate,
)
from thinkport.deploy.evaluation.plan import plans, title
from thinkport.deploy.evaluation.suites import Problem, Suite
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End
from thinkport.runtime.thinking.thinking import Switch, Thinking, ThinkingEnd


def without_seconds(evaluation: Evaluation) -> list[EvaluationRow]:
    return [dataclasses.replace(row, seconds=0) for row in evaluation.rows]


def test_plans_are_off_then_on_then_budgets_with_soft_beside_hard() -> None:
    assert [title(plan) for plan in plans((32, 16), (0.5, 0.75))] == [
        "off",
        "on, no budget",
        "budget 16",
        "budget 16, soft from 0.5",
        "budget 16, soft from 0.75",
        "budget 32",
        "budget 32, soft from 0.5",
        "budget 32, soft from 0.75",
    ]


@pytest.mark.parametrize(
    ("budgets", "soft_from"), [((16, 16), ()), ((16,), (0.5, 0.5)), ((-1,), ()), ((16,), (1.0,)), ((16,), (-0.1,))]
)
def test_plans_out_of_range_or_given_twice_are_refused(budgets: tuple[int, ...], soft_from: tuple[float, ...]) -> None:
    with pytest.raises(InputError):
        plans(budgets, soft_from)


# Values of the interval's closed form worked out by hand; 8 of 10 is the textbook's 0.490 to 0.943.
@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (1, 1, 0.2065, 1),
    ],
)
def test_the_interval_is_wilsons(correct: int, n: int, low: float, high: float) -> None:
    assert Tally(n=n, correct=correct).interval == pytest.approx((low, high), abs=1e-4)


def test_every_question_is_asked_once_for_each_plan_and_seed(suite: Suite, fake: Any) -> None:
    ways = plans((16, 32), (0.5,))
    evaluation = evaluate(fake, suite, ways, seeds=(0, 7), sampling={"temperature": 0.5})
    assert len(fake.calls) == len(ways) * 2 * 20
    assert [row.thinking for row in evaluation.rows] == list(ways)
    assert {call["max_tokens"] for call in fake.calls} == {64}
    assert all(call["sampling"] == {"temperature": 0.5} for call in fake.calls)


def test_every_plan_asks_with_the_same_seeds_and_no_two_questions_share_one(suite: Suite, fake: Any) -> None:
    evaluate(fake, suite, plans((16,)), seeds=(0, 1))
    by_plan: dict[str, list[int]] = {}
    for call in fake.calls:
        by_plan.setdefault(title(call["thinking"]), []).append(call["seed"])
    first, *others = by_plan.values()
    assert len(set(first)) == 40
    assert all(other == first for other in others)


def test_a_questions_seed_does_not_depend_on_how_many_are_asked(suite: Suite, fake: Any) -> None:
    evaluate(fake, suite, plans(()), seeds=(3,))
    whole = {(call["prompt"], call["seed"]) for call in fake.calls}
    fake.calls.clear()
    evaluate(fake, suite.first(5), plans(()), seeds=(3,))
    assert {(call["prompt"], call["seed"]) for call in fake.calls} < whole


def test_the_same_evaluation_twice_gives_the_same_rows(suite: Suite, fake: Any) -> None:
    once, again = (evaluate(fake, suite, plans((16, 32), (0.5,)), seeds=(0, 1)) for _ in range(2))
    other = evaluate(fake, suite, plans((16, 32), (0.5,)), seeds=(2, 3))
    assert without_seconds(once) == without_seconds(again)
    assert without_seconds(once) != without_seconds(other)


def test_rows_count_what_the_fake_model_does(suite: Suite, fake: Any) -> None:
    off, on, hard, soft = evaluate(fake, suite, plans((20,), (0.5,)), seeds=(0, 1)).rows
    assert (off.total, on.total) == (Tally(n=40, correct=0), Tally(n=40, correct=40))
    assert (off.closed_by_model, on.closed_by_model) == (None, 1.0)
    cut = hard.thinking_ends[ThinkingEnd.BUDGET]
    assert 0 < cut < 40
    assert hard.total.correct == soft.total.correct == 40 - cut
    assert hard.closed_by_model == hard.closed_naturally == soft.closed_naturally == (40 - cut) / 40
    assert soft.closed_by_model == 1.0
    assert hard.forced_tokens == pytest.approx(5 * cut / 40)
    assert soft.thought_tokens < hard.thought_tokens < on.thought_tokens
    assert {seed: tally.n for seed, tally in on.by_seed.items()} == {0: 20, 1: 20}
    assert {task: tally.n for task, tally in on.by_task.items()} == {"even": 20, "odd": 20}


def test_a_row_holds_means_and_reasons_of_its_replies(new_reply: Callable[..., End]) -> None:
    problem = Problem(question="q", answer="a")
    ends = [
        new_reply("a", ThinkingEnd.NATURAL, thought=10, tokens=2),
        new_reply("b", ThinkingEnd.BUDGET, thought=30, forced=6, tokens=4),
        new_reply("a", ThinkingEnd.LOOP, thought=20, forced=6, tokens=6),
    ]
    replies = [JudgedReply(problem=problem, seed=4, end=e, correct=e.answer == "a", seconds=0.5) for e in ends]
    row = EvaluationRow.of(Thinking(enabled=Switch.ON, budget=30), replies).as_json()
    assert (row["n"], row["correct"], row["accuracy"]) == (3, 2, pytest.approx(2 / 3))
    assert (row["thought_tokens"], row["answer_tokens"], row["forced_tokens"], row["seconds"]) == (20, 4, 4, 1.5)
    assert row["thinking_ends"] == {"natural": 1, "budget": 1, "loop": 1}
    assert row["answer_ends"] == {"stop": 3}
    assert row["by_seed"] == [{"seed": 4, "n": 3, "correct": 2, "accuracy": pytest.approx(2 / 3)}]
    assert row["by_task"] == {}


@pytest.mark.parametrize("seeds", [(), (-1,), (0, 0)])
def test_seeds_that_can_not_be_are_refused(suite: Suite, fake: Any, seeds: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected different ones, each 0 or more"):
        evaluate(fake, suite, plans(()), seeds=seeds)
    assert not fake.calls


def test_a_listener_hears_every_row_and_reply(suite: Suite, fake: Any) -> None:
    class Notes(EvaluationListener):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def row_started(self, plan: Thinking) -> None:
            self.heard.append(f"start {title(plan)}")

        def replied(self, plan: Thinking, reply: JudgedReply) -> None:
            self.heard.append(f"{reply.problem.question} {reply.correct}")

        def row_done(self, row: EvaluationRow) -> None:
            self.heard.append(f"done {row.total.correct}")

    notes = Notes()
    evaluate(fake, suite.first(1), plans(()), listener=notes)
    assert notes.heard == [
        "start off",
        "question 0 False",
        "done 0",
        "start on, no budget",
        "question 0 True",
        "done 1",
    ]

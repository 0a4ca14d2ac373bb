"""Feeding one by one or starting again: decided by what steps took on this machine, here by made-up seconds."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from thinkport.runtime.engine.held_sequence import HeldSequence
from thinkport.runtime.engine.pace import Pace


def paced(step: float, prefilled: float) -> Pace:
    pace = Pace()
    pace.add(100, 100 * prefilled, over_past=False)
    pace.add(1, step, over_past=True)
    return pace


@pytest.mark.parametrize(("missing", "expected"), [(16, True), (17, False)])
def test_before_anything_is_measured_a_few_tokens_are_fed_one_by_one(missing: int, expected: bool) -> None:
    assert Pace().one_by_one(missing, 1000) == expected


@pytest.mark.parametrize(("missing", "total", "expected"), [(50, 1000, True), (51, 1000, False), (50, 999, False)])
def test_the_shorter_way_is_taken_once_both_are_measured(missing: int, total: int, expected: bool) -> None:
    assert paced(step=20.0, prefilled=1.0).one_by_one(missing, total) == expected


def test_one_measure_alone_decides_nothing() -> None:
    pace = Pace()
    pace.add(1, 1e-9, over_past=True)
    assert not pace.one_by_one(17, 10**9)


def test_the_slow_first_steps_of_a_session_are_forgotten() -> None:
    pace = paced(step=500.0, prefilled=300.0)
    pace.add(1, 20.0, over_past=True)
    pace.add(10, 10.0, over_past=False)
    assert pace.one_by_one(50, 1000)
    assert not pace.one_by_one(51, 1000)


@pytest.mark.parametrize(("tokens", "over_past"), [(5, True), (1, False)])
def test_a_step_that_is_neither_says_nothing(tokens: int, over_past: bool) -> None:
    pace = paced(step=20.0, prefilled=1.0)
    pace.add(tokens, 0.0, over_past=over_past)
    assert pace.one_by_one(50, 1000)
    assert not pace.one_by_one(51, 1000)


@pytest.mark.parametrize(
    ("exact", "seconds", "widths"),
    [(True, 0.1, [256, 256, 88]), (True, 0.3, [128] * 4 + [88]), (False, 0.1, [128] * 4 + [88])],
)
def test_steps_of_a_prompt_are_wider_where_they_are_short_and_exact(
    exact: bool, seconds: float, widths: list[int]
) -> None:
    pace = Pace()
    session: Any = SimpleNamespace(several_tokens_over_past=True, exact_steps=exact, prefill_chunk=128)
    held = HeldSequence(session, pace=pace)
    held.lane = cast("Any", SimpleNamespace(batch=1, expect=lambda _: None))
    assert [len(piece) for piece in held.pieces(range(300))] == [128, 128, 44], "nothing is known yet"
    pace.add(128, seconds, over_past=False)
    assert [len(piece) for piece in held.pieces(range(600))] == widths

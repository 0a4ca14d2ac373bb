"""Feeding one by one or starting again: decided by what steps took on this machine, here by made-up seconds."""

import pytest

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

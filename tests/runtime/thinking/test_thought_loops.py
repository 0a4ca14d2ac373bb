"""What counts as going round in circles, and what does not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.thinking.thought_loops import LINE, PERIOD, SAME_LINE, SPAN, TIMES, LoopDetector


def found_at(text: str) -> int | None:
    """After how many characters, each a token, a loop is found; None for never."""
    detector = LoopDetector(chr)
    return next((at for at, letter in enumerate(text, 1) if detector.feed(ord(letter))), None)


def unlike(letters: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices([chr(code) for code in range(0x4E00, 0x9000)], k=letters))


@given(st.integers(1, PERIOD), st.integers(0, 300), st.integers(0, 1000))
def test_a_cycle_is_found_soon_after_it_has_come_often_enough(period, before, seed) -> None:
    cycle = unlike(period, seed)
    at = found_at(unlike(before, seed + 1) + cycle * (TIMES + SPAN))
    assert at is not None
    assert before + max(period * TIMES, SPAN) <= at <= before + max(period * TIMES, SPAN) + period


@given(st.integers(1, PERIOD), st.integers(0, 1000))
def test_three_times_is_no_loop_where_the_cycle_is_longer_than_a_phrase(period, seed) -> None:
    text = unlike(period, seed) * min(3, max(1, (SPAN - 1) // period) if period * 3 >= SPAN else 3)
    assert found_at(text + unlike(200, seed + 1)) is None


def test_a_line_that_comes_again_and_again_is_a_loop_though_others_stand_between() -> None:
    line = "Wait, let me check that again.\n"
    assert found_at("".join(f"{unlike(9, at)}\n{line}" for at in range(SAME_LINE))) is not None
    assert found_at("".join(f"{unlike(9, at)}\n{line}" for at in range(SAME_LINE - 1))) is None
    assert len(line) > LINE


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"{number}*{other}={number * other}\n" for number in range(10) for other in range(10)),
        "".join(f"| {number} | {number**2} |\n" for number in range(60)),
        "5*5=25\n" * 4 + "5+5=10\n",
        "0, 0, 0, 1\n0, 0, 1, 0\n0, 1, 0, 0\n1, 0, 0, 0\n",
        "\n".join(f"    if x == {number}:\n        return True" for number in range(5)),
        "-" * 40 + "\n",
        "Hmm. " * 5 + "Let me see.",
    ],
)
def test_tables_sums_and_code_are_no_loops(text) -> None:
    assert found_at(text) is None

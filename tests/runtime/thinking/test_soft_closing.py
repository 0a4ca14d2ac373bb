"""Where a thought may end, and how much likelier its end is made."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.thinking.soft_closing import LEAD, Boundaries, progress, raise_logit


class Vocabulary:
    """A tokenizer whose ids are places in a list of byte-level spellings."""

    def __init__(self, *spellings: str):
        self.spellings, self.looked_at = spellings, 0

    def token(self, id: int) -> str:  # noqa: A002
        self.looked_at += 1
        return self.spellings[id]


@pytest.mark.parametrize(
    ("spelling", "ends"),
    [
        ("Ċ", True),
        (".ĊĊ", True),
        (".", True),
        ("!", True),
        ('?"', True),
        (".**", True),
        ("ãĢĤ", True),  # 。 in byte-level letters
        ("a", False),
        (",", False),
        ("3.5", False),
        ("Ċa", False),
        ("Ġ", False),
        ("", False),
    ],
)
def test_a_boundary_is_the_end_of_a_sentence_or_a_line(spelling, ends) -> None:
    assert Boundaries(Vocabulary(spelling)).ends(0) is ends  # type: ignore[arg-type]


def test_each_id_is_looked_at_once() -> None:
    vocabulary = Vocabulary(".", "a")
    boundaries = Boundaries(vocabulary)  # type: ignore[arg-type]
    assert [boundaries.ends(at) for at in (0, 1, 0, 1)] == [True, False, True, False]
    assert vocabulary.looked_at == 2


def test_progress_goes_from_nothing_to_all_between_its_share_and_the_budget() -> None:
    assert [progress(tokens, 0.5, 100) for tokens in (0, 50, 75, 100, 120)] == [0, 0, 0.5, 1, 1]


@given(st.integers(0, 500), st.floats(0, 0.99), st.integers(1, 400))
def test_progress_stays_within_0_and_1_and_never_falls(tokens, soft_from, budget) -> None:
    assert 0 <= progress(tokens, soft_from, budget) <= progress(tokens + 1, soft_from, budget) <= 1


@given(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=20), st.floats(0, 1), st.floats(0.1, 60))
def test_a_raised_logit_rises_by_its_share_and_no_other_moves(values, share, most) -> None:
    logits = np.array(values, np.float32)
    before = logits.copy()
    was_behind = raise_logit(logits, 0, share, most)
    assert np.array_equal(logits[1:], before[1:])
    assert was_behind == (before[0] < before.max())
    assert logits[0] == pytest.approx(before[0] + share * min(before.max() - before[0] + LEAD, most), abs=1e-3)


def test_of_two_places_the_one_where_the_model_itself_would_end_comes_first() -> None:
    likely, unlikely = np.array([1, 2], np.float32), np.array([-9, 2], np.float32)
    for logits in (likely, unlikely):
        raise_logit(logits, 0, 0.5, 99)
    assert likely[0] > likely[1]
    assert unlikely[0] < unlikely[1]

"""A continuation takes what a graph chooses, up to the first that was guessed otherwise."""

import numpy as np
import pytest

from thinkport.export.certify.continuation import Continuation

PROMPT = np.array([1, 2, 3])


def test_without_a_guess_one_token_is_taken_at_a_time() -> None:
    text = Continuation(PROMPT, 2)
    assert (text.ahead.tolist(), text.cached, text.done) == ([1, 2, 3], 0, False)
    text.take(np.array([4]))
    assert (text.said.tolist(), text.cached, text.done) == ([1, 2, 3, 4], 3, False)
    text.take(np.array([5]))
    assert (text.said.tolist(), text.done) == ([1, 2, 3, 4, 5], True)


@pytest.mark.parametrize(
    ("guess", "said"),
    [
        ([4, 5, 6, 7], [4, 5, 6, 7]),
        ([4, 5, 6, 0], [4, 5, 6, 7]),
        ([4, 5, 0, 7], [4, 5, 6]),
        ([0, 5, 6, 7], [4]),
    ],
)
def test_a_guess_is_believed_up_to_where_the_graph_chooses_otherwise(guess: list[int], said: list[int]) -> None:
    text = Continuation(PROMPT, 4, np.array([*PROMPT, *guess]))
    assert text.ahead.tolist() == [1, 2, 3, *guess[:3]]
    text.take(np.array([4, 5, 6, 7]))
    assert text.said.tolist() == [1, 2, 3, *said]
    assert text.cached == len(text.said) - 1
    assert text.ahead.tolist() == text.said.tolist()

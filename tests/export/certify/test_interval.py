"""Intervals are as wide as what is known: they hold the mean that the positions were drawn around."""

import numpy as np
import pytest

from thinkport.export.certify.interval import BLOCK, LEAST_BLOCKS, interval


def test_of_few_positions_nothing_is_said() -> None:
    assert interval([[0.1] * (BLOCK * LEAST_BLOCKS - 1)]) is None
    assert interval([[0.1] * BLOCK] * (LEAST_BLOCKS - 1)) is None
    assert interval([[0.1] * (BLOCK * LEAST_BLOCKS)]) == pytest.approx((0.1, 0.1))


def test_the_same_positions_have_the_same_bounds() -> None:
    texts = np.random.default_rng(0).exponential(0.1, (5, 100)).tolist()
    assert interval(texts) == interval(texts)


@pytest.mark.parametrize("blocks", [8, 20, 60])
def test_nineteen_of_twenty_hold_the_true_mean(blocks: int) -> None:
    """Of positions as KL divergences are: skewed, and alike within a block."""
    random, held = np.random.default_rng(1), 0
    for _ in range(300):
        level = random.exponential(1, (blocks, 1)) * 0.3 + 0.7
        bounds = interval([(random.exponential(0.1, (blocks, BLOCK)) * level).ravel().tolist()])
        assert bounds is not None
        held += bounds[0] <= 0.1 <= bounds[1]
    assert held / 300 > 0.86


def test_more_positions_make_it_narrower() -> None:
    values = np.random.default_rng(2).exponential(0.1, 3200)
    widths = [np.ptp(interval([values[:count].tolist()]) or (0, 9)) for count in (200, 800, 3200)]
    assert widths[0] > 1.5 * widths[1] > 2.2 * widths[2]


def test_blocks_do_not_reach_over_the_end_of_a_text() -> None:
    """Two texts, of which one is far and one near: as one they would have a block of both."""
    far, near = [1.0] * BLOCK * 4, [0.0] * BLOCK * 4
    assert interval([far, near]) == interval([near, far])

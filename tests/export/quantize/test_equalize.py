"""Equalizing: when it pays, when not, and which columns belong to which channel."""

import numpy as np
import pytest
from numpy.typing import NDArray

from thinkport.export.quantize.equalize import Site, flattening, is_worth

Floats = NDArray[np.float32]


def noise(seed: int, n: int = 64, k: int = 256) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, k), dtype=np.float32)


def energy(rows: Floats) -> Floats:
    return np.square(rows).sum(0)


@pytest.mark.parametrize("seed", range(3))
def test_a_few_loud_columns_are_worth_it(seed: int) -> None:
    rows = noise(seed)
    rows[:, [3, 130]] *= 6
    assert is_worth([rows], flattening(energy(rows)), group_size=128)


@pytest.mark.parametrize("seed", range(3))
def test_columns_that_differ_smoothly_are_not(seed: int) -> None:
    rows = noise(seed) * np.exp(0.15 * noise(seed + 9, 1))
    assert not is_worth([rows], flattening(energy(rows)), group_size=128)


def test_scales_make_columns_alike_and_keep_the_whole_as_loud() -> None:
    rows = noise(1) * np.exp(noise(2, 1))
    scales = flattening(energy(rows))
    loudness = energy(rows * scales)
    np.testing.assert_allclose(loudness, loudness[0], rtol=1e-4)
    assert np.log(scales).mean() == pytest.approx(0, abs=1e-4)


def test_a_dead_column_gets_a_scale_that_can_be_divided_by() -> None:
    for rows in (noise(1) * np.eye(256, dtype=np.float32)[5], np.zeros((4, 256), np.float32)):
        scales = flattening(energy(rows))
        assert (np.isfinite(scales) & (scales > 0)).all()


def test_query_heads_that_share_a_kv_head_share_its_channels() -> None:
    site = Site(writers=("v",), readers=("o",), head_dim=3, repeats=2)
    channels = np.arange(6, dtype=np.float32)
    assert site.to_columns(channels).tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]
    assert site.to_channels(site.to_columns(channels)).tolist() == (2 * channels).tolist()

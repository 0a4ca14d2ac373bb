"""int8 weights made of 4-bit ones: close to them, and never able to saturate a CPU's 16-bit sums of pairs."""

import numpy as np
import pytest
from numpy.typing import NDArray

from thinkport.runtime.machine.derived_weights import int8_weight


def some_weights(rows: int, groups: int, *, loud: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rng = np.random.default_rng()
    codes = rng.integers(0, 256, (rows, groups, 16), np.uint8)
    scales = rng.uniform(0.5, 2, (rows, groups)).astype(np.float32)
    if loud:
        scales[:, 0] *= 20
    return codes, scales


def meant(codes: NDArray[np.uint8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    pairs = np.stack([codes & 15, codes >> 4], axis=-1).reshape(*scales.shape, -1).astype(np.float32)
    return ((pairs - 8) * scales[:, :, None]).reshape(len(codes), -1)


@pytest.mark.parametrize("loud", [False, True])
def test_no_weight_is_off_by_more_than_half_its_rows_scale(loud: bool) -> None:
    codes, scales = some_weights(37, 5, loud=loud)
    weight, worth = int8_weight(codes, scales, bits=4)
    wanted = meant(codes, scales)
    assert weight.shape == (160, 37)
    assert (np.abs(weight.T * worth[:, None] - wanted) <= 0.5001 * worth[:, None]).all()
    assert (worth <= 2 * np.abs(wanted).max(axis=1) / 127 * 1.0001).all()


@pytest.mark.parametrize("groups", [4, 5])
def test_zero_points_are_two_groups_a_byte(groups: int) -> None:
    codes, scales = some_weights(3, groups, loud=False)
    points = np.random.default_rng().integers(0, 16, (3, groups), np.uint8)
    padded = np.pad(points, ((0, 0), (0, groups % 2)))
    weight, worth = int8_weight(codes, scales, bits=4, points=padded[:, 0::2] | padded[:, 1::2] << 4)
    wanted = meant(codes, scales) + np.repeat((8 - points.astype(np.float32)) * scales, 32, axis=1)
    assert (np.abs(weight.T * worth[:, None] - wanted) <= 0.5001 * worth[:, None]).all()


@pytest.mark.parametrize("loud", [False, True])
def test_the_products_of_a_pair_with_the_largest_activations_fit_into_16_bits(loud: bool) -> None:
    weight, _ = int8_weight(*some_weights(200, 8, loud=loud), bits=4)
    pairs = np.abs(weight.astype(np.int32)).reshape(-1, 2, weight.shape[1]).sum(axis=1)
    assert 100 < pairs.max() <= 128


def test_blocks_of_a_large_matrix_are_as_if_alone() -> None:
    codes, scales = some_weights(3000, 32, loud=False)
    weight, worth = int8_weight(codes, scales, bits=4)
    alone, its_worth = int8_weight(codes[-1:], scales[-1:], bits=4)
    assert (weight[:, -1:] == alone).all()
    assert worth[-1] == its_worth[0]


def test_a_row_of_zeros_stays_zero() -> None:
    weight, worth = int8_weight(np.full((2, 2, 16), 0x88, np.uint8), np.ones((2, 2), np.float32), bits=4)
    assert not weight.any()
    assert np.isfinite(worth).all()

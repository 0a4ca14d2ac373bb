"""Compensated rounding: legal codes, honest errors, and outputs that are closer where inputs are correlated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thinkport.export.errors import RecipeError
from thinkport.export.quantize.compensate import (
    MOST_COLUMNS,
    Compensation,
    block_width,
    compensation,
    quantize_compensated,
)
from thinkport.export.quantize.rounding import Rounded, quantize_rows

Floats = NDArray[np.float32]
TOKENS = 128


def restored(rounded: Rounded, bits: int) -> Floats:
    n, k = rounded.codes.shape
    signed = rounded.codes.astype(np.float32) - 2 ** (bits - 1)
    return np.asarray((signed.reshape(n, rounded.scales.shape[1], -1) * rounded.scales[:, :, None]).reshape(n, k))


def correlated(seed: int, k: int = 128, rank: int = 8) -> Floats:
    """(tokens, k) whose columns follow a few directions that all texts share."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((TOKENS, rank)) @ rng.standard_normal((rank, k))
    return (common + 0.3 * rng.standard_normal((TOKENS, k))).astype(np.float32)


def alike(k: int) -> Compensation:
    """Inputs that have nothing to do with one another."""
    return Compensation(np.eye(k, dtype=np.float32)[None], np.ones(k, np.float32))


def noise(seed: int, n: int, k: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, k), dtype=np.float32)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8]), st.sampled_from([32, 64, 128]), st.integers(-9, 6))
def test_codes_are_in_range_and_the_error_told_is_the_error_made(seed: int, bits: int, group: int, power: int) -> None:
    weights = noise(seed, 5, 128) * np.float32(10.0**power)
    rounded = quantize_compensated(weights, compensation(correlated(seed)), bits=bits, group_size=group)
    assert rounded.codes.max() < 2**bits
    assert (np.isfinite(rounded.scales) & (rounded.scales != 0)).all()
    lost = weights.astype(np.float64) - restored(rounded, bits)
    assert rounded.squared_error == pytest.approx((lost**2).sum(), rel=1e-3)
    assert rounded.squared_sum == pytest.approx((weights.astype(np.float64) ** 2).sum(), rel=1e-3)


@pytest.mark.parametrize("group", [32, 128])
@pytest.mark.parametrize("seed", range(5))
def test_outputs_over_correlated_inputs_lose_far_less_than_by_plain_rounding(seed: int, group: int) -> None:
    weights, inputs = noise(seed, 64, 128), correlated(seed)
    plain = quantize_rows(weights, bits=4, group_size=group)
    made_up = quantize_compensated(weights, compensation(inputs), bits=4, group_size=group)
    lost, kept = (float(np.square(inputs @ (weights - restored(part, 4)).T).sum()) for part in (plain, made_up))
    assert kept < 0.5 * lost


def test_without_correlations_each_weight_gets_the_code_nearest_to_it() -> None:
    weights = noise(3, 9, 128)
    alone = quantize_compensated(weights, alike(128), bits=4, group_size=32)
    nearest = np.clip(np.rint(weights.reshape(9, 4, 32) / alone.scales[:, :, None]), -8, 7).reshape(9, 128) + 8
    assert (alone.codes != nearest).mean() < 0.01  # a weight between two codes may go either way
    assert alone.squared_error < quantize_rows(weights, bits=4, group_size=32).squared_error


def test_what_a_loud_input_meets_is_rounded_finer_than_the_rest() -> None:
    weights, inputs = noise(12, 64, 64), noise(12, TOKENS, 64)
    inputs[:, 40] *= 30
    rounded = quantize_compensated(weights, compensation(inputs), bits=4, group_size=64)
    lost = np.abs(weights - restored(rounded, 4)).mean(0)
    assert lost[40] < 0.7 * np.median(lost)


def test_rows_do_not_depend_on_one_another() -> None:
    weights, by = noise(4, 40, 128), compensation(correlated(4))
    whole, alone = (quantize_compensated(part, by, bits=4, group_size=32) for part in (weights, weights[7:20]))
    # The order of sums may differ with the number of rows, and one code that tips moves those behind it.
    assert (whole.codes[7:20] != alone.codes).mean() < 0.1


def test_the_factor_is_that_of_damped_moments() -> None:
    inputs = correlated(5, k=32)
    (factor,) = compensation(inputs).factor.astype(np.float64)
    np.testing.assert_array_equal(factor, np.triu(factor))
    np.testing.assert_allclose(factor.diagonal(), 1)
    moments = inputs.T.astype(np.float64) @ inputs / len(inputs)
    moments += np.eye(32) * 0.1 * moments.diagonal().mean()
    inverse = np.linalg.inv(factor)
    apart = inverse @ moments @ inverse.T
    np.testing.assert_allclose(apart, np.diag(apart.diagonal()), atol=1e-3 * apart.diagonal().max())


def test_a_layer_that_gets_zeros_rounds_plainly() -> None:
    by = compensation(np.zeros((TOKENS, 64), np.float32))
    np.testing.assert_array_equal(by.factor, np.eye(64)[None])


@pytest.mark.parametrize(("k", "width"), [(96, 96), (3072, 3072), (9728, 2432), (12288, 4096), (25600, 3200)])
def test_very_many_columns_are_split_into_blocks_of_whole_groups(k: int, width: int) -> None:
    assert block_width(k) == width <= MOST_COLUMNS


def test_blocks_of_columns_are_rounded_as_if_alone() -> None:
    weights, blocks = noise(8, 6, 256), [compensation(correlated(seed)) for seed in (8, 9)]
    both = Compensation(np.concatenate([by.factor for by in blocks]), np.concatenate([by.energy for by in blocks]))
    whole = quantize_compensated(weights, both, bits=4, group_size=64)
    for by, columns in zip(blocks, (slice(0, 128), slice(128, 256)), strict=True):
        alone = quantize_compensated(np.ascontiguousarray(weights[:, columns]), by, bits=4, group_size=64)
        np.testing.assert_array_equal(whole.codes[:, columns], alone.codes)


def test_a_group_size_that_does_not_divide_the_row_is_refused() -> None:
    with pytest.raises(RecipeError, match="use group size 32"):
        quantize_compensated(np.zeros((1, 96), np.float32), alike(96), bits=4, group_size=64)

"""Rounding: what a group's codes and scale may be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thinkport.export.errors import RecipeError
from thinkport.export.quantize.rounding import Rounded, quantize_rows

BITS = st.sampled_from([4, 8])
GROUPS = st.sampled_from([32, 64, 128])


@st.composite
def matrices(draw: st.DrawFn) -> NDArray[np.float32]:
    """Weights of any size, tail, offset and loudness, some of their groups all zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(1, 5)), 128 * draw(st.integers(1, 3))
    weights = rng.standard_t(draw(st.sampled_from([2.5, 4.0, 100.0])), (n, k)) + draw(st.sampled_from([0.0, 1.0, -3.0]))
    weights *= 10.0 ** draw(st.integers(-12, 6))
    weights[rng.random(n) < 0.2] = 0.0
    return weights.astype(np.float32)


def restored(rounded: Rounded, bits: int) -> NDArray[np.float32]:
    n, k = rounded.codes.shape
    signed = rounded.codes.astype(np.float32) - 2 ** (bits - 1)
    values = signed.reshape(n, rounded.scales.shape[1], -1) * rounded.scales[:, :, None]
    return np.asarray(values.reshape(n, k), np.float32)


def squared_error(weights: NDArray[np.float32], rounded: Rounded, bits: int) -> float:
    return float(((weights.astype(np.float64) - restored(rounded, bits)) ** 2).sum())


@settings(deadline=None)
@given(matrices(), BITS, GROUPS)
def test_every_code_is_in_range_and_every_scale_is_a_finite_number(
    weights: NDArray[np.float32], bits: int, group: int
) -> None:
    rounded = quantize_rows(weights, bits=bits, group_size=group)
    assert rounded.codes.dtype == np.uint8
    assert rounded.codes.max() < 2**bits
    assert np.isfinite(rounded.scales).all()
    assert (rounded.scales != 0).all()


@settings(deadline=None)
@given(matrices(), BITS, GROUPS)
def test_a_weight_whose_code_is_not_at_an_end_is_off_by_at_most_half_a_step(
    weights: NDArray[np.float32], bits: int, group: int
) -> None:
    rounded = quantize_rows(weights, bits=bits, group_size=group)
    step = np.repeat(np.abs(rounded.scales), group, axis=1)
    inside = (rounded.codes > 0) & (rounded.codes < 2**bits - 1)
    assert (np.abs(weights - restored(rounded, bits))[inside] <= (0.5 + 1e-4) * step[inside]).all()


@settings(deadline=None)
@given(matrices(), BITS, GROUPS)
def test_the_largest_weight_of_a_group_is_kept(weights: NDArray[np.float32], bits: int, group: int) -> None:
    """A scale of least squared error makes it 5 % too small, which ruins a trained model."""
    found = restored(quantize_rows(weights, bits=bits, group_size=group), bits).reshape(-1, group)
    groups = weights.reshape(-1, group)
    at = np.abs(groups).argmax(1)[:, None]
    np.testing.assert_allclose(np.take_along_axis(found, at, 1), np.take_along_axis(groups, at, 1), rtol=1e-6)


@settings(deadline=None)
@given(matrices(), BITS, GROUPS)
def test_the_error_it_reports_is_the_error_it_makes(weights: NDArray[np.float32], bits: int, group: int) -> None:
    rounded = quantize_rows(weights, bits=bits, group_size=group)
    assert rounded.squared_error == pytest.approx(squared_error(weights, rounded, bits), rel=1e-3)
    assert rounded.squared_sum == pytest.approx(float((weights.astype(np.float64) ** 2).sum()), rel=1e-3)


@pytest.mark.parametrize("bits", [4, 8])
def test_values_on_the_grid_come_back_exactly(bits: int) -> None:
    half = 2 ** (bits - 1)
    codes = np.random.default_rng(0).integers(0, 2 * half, (6, 128))
    codes[:, ::32] = 0  # the extreme of every group, so that rounding finds the scale
    weights = ((codes - half) * 0.125).astype(np.float32)
    rounded = quantize_rows(weights, bits=bits, group_size=32)
    np.testing.assert_array_equal(restored(rounded, bits), weights)


def test_a_group_of_zeros_has_scale_one_and_the_zero_point_as_its_codes() -> None:
    weights = np.zeros((2, 64), np.float32)
    weights[1, 40] = 3.0
    rounded = quantize_rows(weights, bits=4, group_size=32)
    assert rounded.scales[0].tolist() == [1.0, 1.0]
    assert (rounded.codes[0] == 8).all()
    assert restored(rounded, 4)[1, 40] == 3.0


def test_a_group_too_small_to_divide_by_counts_as_zeros() -> None:
    rounded = quantize_rows(np.full((1, 32), 1e-42, np.float32), bits=4, group_size=32)
    assert rounded.scales.tolist() == [[1.0]]
    assert (rounded.codes == 8).all()


def test_rows_are_rounded_alike_whatever_stands_around_them() -> None:
    weights = np.random.default_rng(1).standard_normal(
        (2500, 128), dtype=np.float32
    )  # two chunks, the border within the slice
    whole = quantize_rows(weights, bits=4, group_size=64)
    alone = quantize_rows(weights[2040:2060].copy(), bits=4, group_size=64)
    np.testing.assert_array_equal(whole.codes[2040:2060], alone.codes)
    np.testing.assert_array_equal(whole.scales[2040:2060], alone.scales)


def test_a_group_size_that_does_not_divide_the_row_is_refused_with_one_that_does() -> None:
    with pytest.raises(RecipeError, match="rows of 96 weights can't be split into groups of 64: use group size 32"):
        quantize_rows(np.zeros((1, 96), np.float32), bits=4, group_size=64)

"""Turning: an orthogonal matrix that is its own inverse, and rows of which any range is that of the whole."""

import numpy as np
import pytest
from numpy.typing import NDArray

from thinkport.export.quantize.rotation import Rotation, block_of, hadamard, turned

Floats = NDArray[np.float32]
BLOCK, WIDTH, INNER = 8, 24, 5


def noise(*shape: int) -> Floats:
    return np.random.default_rng().standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("size", [1, 2, 32, 64])
def test_the_matrix_is_orthogonal_and_its_own_inverse(size: int) -> None:
    matrix = hadamard(size)
    assert matrix.shape == (size, size)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(matrix @ matrix, np.eye(size), atol=1e-6)


def test_half_precision_holds_the_largest_matrix_exactly() -> None:
    matrix = hadamard(64)
    np.testing.assert_array_equal(matrix.astype(np.float16).astype(np.float32), matrix)


@pytest.mark.parametrize(("channels", "block"), [(576, 64), (1024, 64), (5120, 64), (2144, 32), (96, 32)])
def test_the_largest_power_of_two_that_divides_the_channels_is_taken(channels: int, block: int) -> None:
    assert block_of(channels) == block


def test_one_large_channel_is_spread_over_its_block_and_no_further() -> None:
    rows = np.zeros((1, 128), np.float32)
    rows[0, 70] = 800
    found = turned(rows, 64)
    assert (found[0, :64] == 0).all()
    np.testing.assert_array_equal(np.abs(found[0, 64:]), 100)
    np.testing.assert_allclose(turned(found, 64), rows, atol=1e-4)


def rotation(gain: Floats) -> Rotation:
    return Rotation(block=BLOCK, gains={"reader": gain}, norms=frozenset({"norm"}), writers=frozenset({"writer"}))


def test_what_is_read_behind_a_norm_and_written_back_is_the_same_function_turned() -> None:
    gain, hidden, read, written = noise(WIDTH), noise(7, WIDTH), noise(INNER, WIDTH), noise(WIDTH, INNER)
    gain[3] = 0  # a norm may shut a channel off
    expected = (hidden * gain) @ read.T @ written.T
    made = rotation(gain)
    reader = made.rows("reader", 0, INNER, lambda start, stop: read[start:stop].copy())
    writer = made.rows("writer", 0, WIDTH, lambda start, stop: written[start:stop].copy())
    np.testing.assert_array_equal(made.rows("norm", 2, 9, lambda *_: gain), np.ones(7))
    changed = np.asarray(turned(hidden, BLOCK) @ reader.T @ writer.T, np.float32)
    assert np.abs(turned(changed, BLOCK) - expected).max() < 1e-4


@pytest.mark.parametrize(("start", "stop"), [(0, 24), (0, 8), (3, 5), (7, 17), (23, 24)])
@pytest.mark.parametrize("name", ["reader", "writer", "other"])
def test_a_range_of_rows_is_that_of_the_whole(name: str, start: int, stop: int) -> None:
    weights, made = noise(WIDTH, WIDTH), rotation(noise(WIDTH))

    def stored(first: int, last: int) -> Floats:
        return weights[first:last].copy()

    whole = made.rows(name, 0, WIDTH, stored)
    np.testing.assert_allclose(made.rows(name, start, stop, stored), whole[start:stop], atol=1e-6)
    assert np.array_equal(whole, weights) == (name == "other")

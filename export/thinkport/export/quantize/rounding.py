"""Rounds float32 rows to symmetric 4- or 8-bit codes with one scale a group of columns. Pure numpy.

Knows arithmetic only: no file, no graph, no model. With `h = 2**(bits - 1)`, a group's scale is its signed extreme over
`-h`. So the extreme is kept exactly, as code `-h`; ONNX Runtime's own MLAS kernel does the same. A scale of least
squared error makes the largest weights of a trained model too small, which costs more than it gains.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thinkport.export.errors import RecipeError

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]

# Threads pass the interpreter's lock between calls, so short calls cost: chunks of 64 Ki are a third slower.
CHUNK_WEIGHTS = 256 * 1024
SEARCHED_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
SMALLEST_EXTREME = np.float32(2.0**-100)  # below it a group counts as zero: dividing by it would leave float32's range


@dataclass(frozen=True)
class Rounded:
    """Codes of a matrix, before packing; the value of a weight is `(code - 2**(bits - 1)) * scale`.

    Attributes:
        codes: uint8 (n, k), in 0 .. 2**bits - 1.
        scales: float32 (n, k // group_size); negative where a group's extreme is positive; 1 for a group of zeros.
        squared_error: sum over all weights of (weight - rounded value)**2.
        squared_sum: sum over all weights of weight**2.
    """

    codes: Codes
    scales: Floats
    squared_error: float
    squared_sum: float


def quantize_rows(weights: Floats, *, bits: int, group_size: int) -> Rounded:
    """Round a float32 (n, k) matrix, a chunk of rows at a time so that scratch memory is bounded (3 MB).

    Args:
        weights: finite float32 (n, k), C-contiguous.
        bits: 4 or 8.
        group_size: columns that share a scale; must divide k.

    Raises:
        RecipeError: the group size doesn't divide k.
    """
    n, k = weights.shape
    check_groups(k, group_size)
    codes = np.empty((n, k), np.uint8)
    scales = np.empty((n, k // group_size), np.float32)
    groups, flat_codes, flat_scales = weights.reshape(-1, group_size), codes.reshape(-1, group_size), scales.reshape(-1)
    step = max(1, CHUNK_WEIGHTS // group_size)
    rounder = _Rounder(min(step, len(groups)), bits, group_size)
    error = total = 0.0
    for start in range(0, len(groups), step):
        rows = slice(start, start + step)
        chunk_error, chunk_total = rounder.round(groups[rows], flat_codes[rows], flat_scales[rows])
        error += chunk_error
        total += chunk_total
    return Rounded(codes, scales, error, total)


def check_groups(k: int, group_size: int) -> None:
    """Refuse rows that groups don't divide: a padded last group would waste bytes and hide a wrong shape.

    Raises:
        RecipeError: with k, the group size and the sizes that would fit.
    """
    if k % group_size:
        fits = [size for size in (32, 64, 128) if k % size == 0]
        hint = f"use group size {' or '.join(map(str, fits))}" if fits else "no group size fits; leave it unquantized"
        raise RecipeError(f"rows of {k} weights can't be split into groups of {group_size}: {hint}")


def best_scales(columns: Floats, energy: Floats, *, bits: int) -> Floats:
    """The scale of each row of one group that costs least over inputs of that energy: float32 (n,).

    It tries shares of the extreme as the largest code of either sign.

    Args:
        columns: float32 (group_size, n), the group's columns one after another.
        energy: float32 (group_size,), what a squared error in a column costs.
        bits: 4 or 8.
    """
    half = np.float32(2 ** (bits - 1))
    extreme, low = columns.max(axis=0), columns.min(axis=0)
    np.copyto(extreme, low, where=-low > extreme)
    zero = np.abs(extreme) < SMALLEST_EXTREME
    extreme[zero] = -half
    best: Floats = np.empty_like(extreme)
    least = np.full_like(extreme, np.inf)
    lost = np.empty_like(columns)
    for code in (-half, half - np.float32(0.5)):
        for share in SEARCHED_SHARES:
            scale = extreme * np.float32(share / code)
            np.multiply(columns, np.float32(1.0) / scale, out=lost)
            np.rint(lost, out=lost)
            np.clip(lost, -half, half - 1, out=lost)
            np.multiply(lost, scale, out=lost)
            np.subtract(lost, columns, out=lost)
            np.square(lost, out=lost)
            cost = energy @ lost
            better = cost < least
            np.copyto(least, cost, where=better)
            np.copyto(best, scale, where=better)
    best[zero] = 1.0
    return best


class _Rounder:
    """Scratch memory for chunks of at most `rows` groups, and the steps that use it. One thread at a time."""

    def __init__(self, rows: int, bits: int, group_size: int) -> None:
        self.half = np.float32(2 ** (bits - 1))
        self.scaled = np.empty((rows, group_size), np.float32)
        self.columns = np.empty((group_size, rows), np.float32)

    def round(self, weights: Floats, codes: Codes, scales: Floats) -> tuple[float, float]:
        """Fill `codes` and `scales` for float32 (rows, group_size) weights; return squared error and squared sum."""
        scaled = self.scaled[: len(weights)]
        extreme = self._extremes(weights)
        zero = np.abs(extreme) < SMALLEST_EXTREME
        extreme[zero] = -1.0
        np.multiply(weights, (-self.half / extreme)[:, None], out=scaled)
        np.rint(scaled, out=scaled)
        np.clip(scaled, -self.half, self.half - 1, out=scaled)
        np.divide(-extreme, self.half, out=scales)
        scales[zero] = 1.0
        np.add(scaled, self.half, out=codes, casting="unsafe", dtype=np.float32)
        return self._errors(weights, scaled, scales)

    def _extremes(self, weights: Floats) -> Floats:
        """The value of largest magnitude of every group, with its sign; float32 (rows,), a fresh array."""
        columns = self.columns[:, : len(weights)]
        np.copyto(columns, weights.T)  # reducing over the first axis is six times as fast as over a short last one
        high: Floats = columns.max(axis=0)
        low: Floats = columns.min(axis=0)
        np.copyto(high, low, where=-low > high)
        return high

    def _errors(self, weights: Floats, scaled: Floats, scales: Floats) -> tuple[float, float]:
        np.multiply(scaled, scales[:, None], out=scaled)
        np.subtract(weights, scaled, out=scaled)
        error = np.vecdot(scaled, scaled).sum(dtype=np.float64)
        return float(error), float(np.vecdot(weights, weights).sum(dtype=np.float64))

"""Rounds float32 rows to symmetric 4- or 8-bit codes with one scale a group of columns. Pure numpy.

Knows arithmetic only: no file, no graph, no model. Every group is first divided by its signed extreme, so that the
extreme is -1 and a candidate is one multiplication by a constant: with `h = 2**(bits - 1)` and `d = ratio * h`, the
codes are `q = clip(rint(x * d), -h, h - 1)`.

Plain rounding is `d = h`: the extreme lands on code `-h`, as ONNX Runtime's own MLAS kernel does. The search tries
several `d` and rates each by the error it has with the *best* scale for its codes: the least-squares scale of codes q
is `<x, q> / <q, q>`, and leaves the error `<x, x> - <x, q>**2 / <q, q>`. The winner is rounded once more with that
scale. Each step can only lower the squared error, and plain rounding is among the candidates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thinkport.export.errors import RecipeError

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]

# Chosen greedily among ratios 0.75-2 of either sign, on normal weights with loud columns and on heavy-tailed ones; the
# other sign (the extreme on +7) adds nothing that shows in four digits.
SEARCH_RATIOS = (1.0, 0.906, 0.969, 1.031, 1.094, 1.1875, 1.3125)
# Two threads hand the interpreter's lock to each other between calls, so short calls cost: 64 Ki is a third slower.
CHUNK_WEIGHTS = 256 * 1024
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


def quantize_rows(weights: Floats, *, bits: int, group_size: int, search: bool) -> Rounded:
    """Round a float32 (n, k) matrix, a chunk of rows at a time so that scratch memory is bounded (3 MB).

    Args:
        weights: finite float32 (n, k), C-contiguous.
        bits: 4 or 8.
        group_size: columns that share a scale; must divide k.
        search: search each group's scale for least squared error, instead of placing its extreme on code 0.

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
        chunk_error, chunk_total = rounder.round(groups[rows], flat_codes[rows], flat_scales[rows], search=search)
        error += chunk_error
        total += chunk_total
    return Rounded(codes, scales, error, total)


def check_groups(k: int, group_size: int) -> None:
    """Refuse a row length that groups don't divide: a padded last group would waste bytes and hide a wrong shape.

    Raises:
        RecipeError: with k, the group size and the sizes that would fit.
    """
    if k % group_size:
        fits = [size for size in (32, 64, 128) if k % size == 0]
        hint = f"use group size {' or '.join(map(str, fits))}" if fits else "no group size fits; leave it unquantized"
        raise RecipeError(f"rows of {k} weights can't be split into groups of {group_size}: {hint}")


class _Rounder:
    """Scratch memory for chunks of at most `rows` groups, and the steps that use it. One thread at a time."""

    def __init__(self, rows: int, bits: int, group_size: int) -> None:
        self.half = np.float32(2 ** (bits - 1))
        self.unit = np.empty((rows, group_size), np.float32)  # the chunk, its extremes at -1
        self.scaled = np.empty((rows, group_size), np.float32)
        self.columns = np.empty((group_size, rows), np.float32)

    def round(self, weights: Floats, codes: Codes, scales: Floats, *, search: bool) -> tuple[float, float]:
        """Fill `codes` and `scales` for float32 (rows, group_size) weights; return squared error and squared sum."""
        rows = len(weights)
        unit, scaled = self.unit[:rows], self.scaled[:rows]
        extreme = self._extremes(weights)
        zero = np.abs(extreme) < SMALLEST_EXTREME
        extreme[zero] = -1.0
        np.multiply(weights, (np.float32(-1.0) / extreme)[:, None], out=unit)
        # `steps` is how many codes there are to a group's extreme: the reciprocal of its scale, in units of -extreme.
        steps = self._search(unit, scaled) if search else np.full(rows, self.half, np.float32)
        np.multiply(unit, steps[:, None], out=scaled)
        self._to_codes(scaled)
        if search:
            product, norm = np.vecdot(unit, scaled), np.vecdot(scaled, scaled)
            refit = product > 0
            np.divide(norm, product, out=steps, where=refit)
        np.divide(-extreme, steps, out=scales)
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

    def _to_codes(self, scaled: Floats) -> None:
        np.rint(scaled, out=scaled)
        np.clip(scaled, -self.half, self.half - 1, out=scaled)

    def _search(self, unit: Floats, scaled: Floats) -> Floats:
        """Steps to the extreme of the best candidate of every group, refitted to its codes; float32 (rows,)."""
        best_gain = np.full(len(unit), -1.0, np.float32)
        best_steps = np.full(len(unit), self.half, np.float32)
        for ratio in SEARCH_RATIOS:
            np.multiply(unit, np.float32(ratio) * self.half, out=scaled)
            self._to_codes(scaled)
            product, norm = np.vecdot(unit, scaled), np.vecdot(scaled, scaled)
            np.maximum(norm, 1.0, out=norm)  # codes of a zero group are all 0
            gain = product * product / norm
            better = (gain > best_gain) & (product > 0)
            np.copyto(best_gain, gain, where=better)
            np.divide(norm, product, out=best_steps, where=better)
        return best_steps

    def _errors(self, weights: Floats, scaled: Floats, scales: Floats) -> tuple[float, float]:
        np.multiply(scaled, scales[:, None], out=scaled)
        np.subtract(weights, scaled, out=scaled)
        error = np.vecdot(scaled, scaled).sum(dtype=np.float64)
        return float(error), float(np.vecdot(weights, weights).sum(dtype=np.float64))

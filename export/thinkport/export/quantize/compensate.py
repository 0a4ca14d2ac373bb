"""Rounding that lets later columns make up for the error of earlier ones (GPTQ, arXiv 2210.17323). numpy, but for one
factorization: torch's takes a quarter of the time (measured, 3,072 columns: 0.19 against 0.81 s).

Knows arrays: a matrix's rows and the inputs that it was given over a few texts. With `H` the inputs' second moments and
`D` the error of the weights, the outputs' squared error is the trace of `D H D'`. Where `H = A A'` with `A` upper
triangular, that is the squared length of `D A`, whose column c holds errors of columns up to c only: taken from left to
right, each column's code is the one nearest to `w_c + sum(D_i A_ic / A_cc, i < c)` (Babai's nearest plane, arXiv
2507.18553). No inverse is needed, and rows don't depend on one another.

A few hundred tokens say little of a matrix with thousands of columns. So the share of the correlations that all texts
have in common is measured, and only that share is used: all of it for a trained model, a twentieth for noise, where
using all of it costs more than plain rounding (KL 0.093 instead of 0.079 on made-up weights).
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from thinkport.export.quantize.rounding import Rounded, check_groups, quantize_rows

Floats = NDArray[np.float32]

BLOCK = 32  # columns whose errors reach one another a column at a time, and all later ones in one product
MOST_COLUMNS = 4096
_LARGEST_GROUP = 128
DAMPING = 0.1  # of the mean second moment: texts as short as these need more than the usual 0.01


def compensation(inputs: Floats, lengths: Sequence[int]) -> Floats:
    """The share of an earlier column's error that a later one makes up for: float32 (blocks, width, width).

    Each block of columns is unit upper triangular. There is one but for more than `MOST_COLUMNS`, whose moments would
    take gigabytes and minutes: columns of different blocks make up for nothing.

    Args:
        inputs: float32 (tokens, k), texts one after another.
        lengths: tokens of each text.
    """
    share = np.float32(believed_share(inputs, lengths))
    width = block_width(inputs.shape[1])
    blocks = range(0, inputs.shape[1], width)
    return np.stack([_factor(inputs[:, start : start + width], share) for start in blocks])


def block_width(k: int) -> int:
    """The most columns, at most `MOST_COLUMNS`, that divide k into blocks of whole groups; k itself where none do."""
    widths = (k // blocks for blocks in range(1, k // _LARGEST_GROUP + 1) if k % (blocks * _LARGEST_GROUP) == 0)
    return next((width for width in widths if width <= MOST_COLUMNS), k)


def _factor(inputs: Floats, share: np.float32) -> Floats:
    import torch  # here alone: help and recipes need none

    moments = inputs.T @ inputs
    moments /= np.float32(len(inputs))
    diagonal = moments.diagonal().copy()
    moments *= share
    damping = DAMPING * diagonal.mean() or 1.0  # a layer that is dead over all texts rounds plainly
    np.fill_diagonal(moments, diagonal + damping)
    lower = torch.linalg.cholesky(torch.from_numpy(moments[::-1, ::-1].copy()))
    del moments
    factor: Floats = lower.numpy()[::-1, ::-1]
    return np.divide(factor, factor.diagonal().copy(), order="C")


def believed_share(inputs: Floats, lengths: Sequence[int]) -> float:
    """How much of the correlations of columns is common to the texts, 0 to 1.

    The product of two texts' correlations estimates what they share without bias; that of all texts with themselves
    also holds what is only one text's. Their ratio is the share, as shrinkage of a covariance wants it (Ledoit and
    Wolf, 2004). Both come from products of tokens, so that no second matrix of moments is made.
    """
    starts = [0, *accumulate(lengths)]
    parts = [inputs[start:stop] for start, stop in pairwise(starts)]
    squares = [np.square(part, dtype=np.float64).sum(0) for part in parts]
    common = total = 0.0
    pairs = 0
    for i, first in enumerate(parts):
        for j, second in enumerate(parts[: i + 1]):
            agreement = float(np.square(first @ second.T, dtype=np.float64).sum() - squares[i] @ squares[j])
            total += agreement if i == j else 2 * agreement
            if i != j:
                common += 2 * agreement
                pairs += 2 * len(first) * len(second)
    if total <= 0 or not pairs:
        return 0.0
    return float(np.clip(common / pairs * len(inputs) ** 2 / total, 0.0, 1.0))


def quantize_compensated(weights: Floats, factor: Floats, *, bits: int, group_size: int) -> Rounded:
    """Round float32 (n, k) rows as `quantize_rows` does, a column after the other, by the `compensation` of k columns.

    A group's scales are chosen when its turn comes, for what is left of earlier columns' errors too.

    Raises:
        RecipeError: the group size doesn't divide k.
    """
    n, k = weights.shape
    check_groups(k, group_size)
    columns = np.ascontiguousarray(weights.T)
    errors, codes = np.empty((k, n), np.float32), np.empty((k, n), np.uint8)
    scales = np.empty((n, k // group_size), np.float32)
    width = factor.shape[-1]
    for start in range(0, k, group_size):
        group, (block, first) = slice(start, start + group_size), divmod(start, width)
        own = slice(first, first + group_size)
        target = columns[group] + factor[block, :first, own].T @ errors[start - first : start]
        rows = np.ascontiguousarray(target.T)
        found = quantize_rows(rows, bits=bits, group_size=group_size).scales
        scales[:, start // group_size] = found[:, 0]
        _round_group(columns[group], target, found[:, 0], factor[block, own, own], errors[group], codes[group], bits)
    error, total = (float(np.vdot(part, part)) for part in (errors, columns))
    return Rounded(np.ascontiguousarray(codes.T), scales, error, total)


def _round_group(
    columns: Floats, target: Floats, scale: Floats, factor: Floats, errors: Floats, codes: NDArray[np.uint8], bits: int
) -> None:
    """Fill `errors` and `codes`, (group_size, n) each, of one group whose `target` holds what groups before it left."""
    half = np.float32(2 ** (bits - 1))
    steps = np.float32(1.0) / scale
    scaled = np.empty_like(scale)
    for column in range(len(columns)):
        start = column - column % BLOCK
        if column == start:
            block = slice(start, start + BLOCK)
            target[block] += factor[:start, block].T @ errors[:start]
        np.add(target[column], factor[start:column, column] @ errors[start:column], out=scaled)
        np.multiply(scaled, steps, out=scaled)
        np.rint(scaled, out=scaled)
        np.maximum(scaled, -half, out=scaled)
        np.minimum(scaled, half - 1, out=scaled)
        np.add(scaled, half, out=codes[column], casting="unsafe", dtype=np.float32)
        np.multiply(scaled, scale, out=scaled)
        np.subtract(columns[column], scaled, out=errors[column])

"""Quantizes matrices as a stream of row blocks: worker threads read, round and pack them; they come out in row order.

Knows rows only through a `RowSource`. The block size and the number of workers bound the memory, whatever the matrix:
numpy releases the interpreter's lock, so threads run side by side.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from thinkport.export.errors import RecipeError
from thinkport.export.quantize.compensate import Compensation, quantize_compensated
from thinkport.export.quantize.integers import IntegerForm, Integers
from thinkport.export.quantize.packing import pack, pack_points
from thinkport.export.quantize.recipes import RoleRecipe
from thinkport.export.quantize.rounding import quantize_rows

BLOCK_BYTES = (
    1 << 20
)  # of float32: a few milliseconds of work, so that all workers finish a matrix at nearly the same time
COMPENSATED_ROWS = 2048  # many, since each column costs a few calls to numpy
AHEAD = 2  # blocks in flight for each worker


class Shaped(Protocol):
    """Anything with a shape, such as a checkpoint's tensor entry."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""


class IntegerSource(Protocol):
    """Matrices by name that are integers already, which threads may read as those of a `RowSource`.

    A `Checkpoint` is one.
    """

    @property
    def tensors(self) -> Mapping[str, Shaped]:
        """Every tensor's shape by name."""

    def integers(self, name: str, start: int, stop: int, form: IntegerForm) -> Integers:
        """Rows start..stop of a tensor, in groups of `form`."""


class RowSource(Protocol):
    """Matrices by name; several threads may read ranges of their rows at once. A `Checkpoint` is one."""

    @property
    def tensors(self) -> Mapping[str, Shaped]:
        """Every tensor's shape by name."""

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows start..stop of a tensor, as float32 (stop - start, k)."""


@dataclass(frozen=True)
class RoundingError:
    """The cost of rounding, over any number of weights; add two to join them.

    Attributes:
        squared_error: sum of (weight - rounded value)**2.
        squared_sum: sum of weight**2.
        weights: how many they are.
    """

    squared_error: float = 0.0
    squared_sum: float = 0.0
    weights: int = 0

    @property
    def relative(self) -> float:
        """Squared error over squared sum; 0 for all-zero weights."""
        return self.squared_error / self.squared_sum if self.squared_sum else 0.0

    def __add__(self, other: "RoundingError") -> "RoundingError":
        return RoundingError(
            self.squared_error + other.squared_error,
            self.squared_sum + other.squared_sum,
            self.weights + other.weights,
        )


@dataclass(frozen=True)
class RowBlock:
    """Consecutive rows of the stacked matrix, ready to be written.

    Attributes:
        start: first row, counted over all stacked tensors.
        packed: uint8 (rows, k / group_size, group_size * bits / 8), as MatMulNBits' B.
        scales: float32 (rows, k / group_size).
        error: what rounding the block cost.
        points: uint8 (rows, ceil(k / group_size * bits / 8)), as MatMulNBits' zero points; None where there are none.
    """

    start: int
    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    error: RoundingError
    points: NDArray[np.uint8] | None = None


def _row_length(source: RowSource | IntegerSource, names: Sequence[str]) -> int:
    """Columns of the matrix that stacking tensors along their rows gives: q over k over v, or gate over up.

    Raises:
        RecipeError: one is not a matrix, or rows differ in length.
    """
    shapes = [source.tensors[name].shape for name in names]
    if any(len(shape) != 2 for shape in shapes) or len({shape[-1] for shape in shapes}) != 1:
        found = ", ".join(f"{name} {list(shape)}" for name, shape in zip(names, shapes, strict=True))
        raise RecipeError(f"only matrices with rows of one length can be packed together, found {found}")
    return shapes[0][1]


def quantize_blocks(
    source: RowSource,
    names: Sequence[str],
    recipe: RoleRecipe,
    *,
    pool: ThreadPoolExecutor,
    workers: int = 2,
    block_bytes: int = BLOCK_BYTES,
    compensation: Compensation | None = None,
    interleaved: bool = False,
) -> Iterator[RowBlock]:
    """Quantize the named matrices, stacked along their rows; the rows alternate if they are `interleaved`.

    The iterator works ahead of its reader.

    Row r's codes belong at byte `r * k * bits / 8` of the packed blob, its scales at element `r * k / group_size` of
    the blob of scales. Without `compensation` each weight is rounded for itself.

    Raises:
        RecipeError: the shapes don't fit one another or the group size.
        Exception: whatever the source raises, after the blocks in flight have ended.
    """
    columns = _row_length(source, names)
    recipe = recipe.for_rows(columns)
    form = {"bits": recipe.bits, "group_size": recipe.group_size}

    def quantized(block: Sequence[str], start: int, stop: int, at: int) -> RowBlock:
        weights = alternating_rows(source, block, start, stop)
        if compensation is None:
            rounded = quantize_rows(weights, **form)
        else:
            rounded = quantize_compensated(weights, compensation, **form)
        error = RoundingError(rounded.squared_error, rounded.squared_sum, weights.size)
        return RowBlock(at, pack(rounded.codes, **form), rounded.scales, error)

    # Compensating is many short calls and a few products, which have threads of their own: side by side two blocks only
    # take the interpreter's lock from each other (measured: no gain).
    step, flights = max(1, block_bytes // (4 * columns)), workers * AHEAD
    if compensation is not None:
        step, flights = COMPENSATED_ROWS, 1
    yield from _in_order(
        pool, quantized, row_ranges(source, [names] if interleaved else [(name,) for name in names], step), flights
    )


def kept_blocks(
    source: IntegerSource, names: Sequence[str], recipe: RoleRecipe, *, pool: ThreadPoolExecutor, workers: int = 2
) -> Iterator[RowBlock]:
    """The integers of the named matrices, stacked as in `quantize_blocks`; nothing is rounded.

    Raises:
        RecipeError: the shapes don't fit one another.
        Exception: whatever the source raises, after the blocks in flight have ended.
    """
    form = IntegerForm(bits=recipe.bits, group_size=recipe.group_size, points=recipe.points)

    def packed(block: Sequence[str], start: int, stop: int, at: int) -> RowBlock:
        found = source.integers(block[0], start, stop, form)
        codes = pack(found.codes, bits=form.bits, group_size=form.group_size)
        points = None if found.points is None else pack_points(found.points, bits=form.bits)
        return RowBlock(at, codes, found.scales, RoundingError(), points)

    step = max(1, BLOCK_BYTES // (4 * _row_length(source, names)))
    yield from _in_order(pool, packed, row_ranges(source, [(name,) for name in names], step), workers * AHEAD)


def _in_order(
    pool: ThreadPoolExecutor,
    make: Callable[[Sequence[str], int, int, int], RowBlock],
    tasks: Iterable[tuple[Sequence[str], int, int, int]],
    flights: int,
) -> Iterator[RowBlock]:
    """The blocks in the order of their tasks; at most `flights` of them run or wait."""
    pending: deque[Future[RowBlock]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(make, *task))
            if len(pending) >= flights:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def row_ranges(
    source: RowSource | IntegerSource, groups: Sequence[Sequence[str]], step: int
) -> Iterator[tuple[Sequence[str], int, int, int]]:
    """(names, first row, last row + 1, first row in the stack) of every block of about `step` rows.

    The rows of a group's tensors alternate; no block spans two groups.
    """
    base = 0
    for names in groups:
        n, each = source.tensors[names[0]].shape[0], max(1, step // len(names))
        for start in range(0, n, each):
            yield names, start, min(start + each, n), base + start * len(names)
        base += n * len(names)


def alternating_rows(source: RowSource, names: Sequence[str], start: int, stop: int) -> NDArray[np.float32]:
    """Rows start..stop of each tensor, (number of tensors * (stop - start), …): the first of each, the second, …"""
    parts = [source.rows(name, start, stop) for name in names]
    return parts[0] if len(parts) == 1 else np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])

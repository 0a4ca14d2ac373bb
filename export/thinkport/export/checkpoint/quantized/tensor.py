"""A weight whose file holds integers or other small numbers, read as if it were a plain tensor; and integers in words.

Knows entries of safetensors files, and integers packed into 32-bit words, the first in the lowest bits. Must not know a
format.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.safetensors_file import TensorEntry, read_raw
from thinkport.export.errors import CheckpointError
from thinkport.export.quantize.integers import IntegerForm, Integers, form_of

Codes = NDArray[np.uint8]
WORD_BITS = 32
Parts = Mapping[str, TensorEntry]


def unpack_last(words: NDArray[Any], bits: int) -> Codes:
    """Words (…, m) to codes uint8 (…, m * 32 / bits), in the order of the bits; `bits` is 2, 4 or 8."""
    octets = np.ascontiguousarray(words).astype("<u4", copy=False).view(np.uint8)
    if bits == 8:
        return octets
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (octets[..., None] >> shifts) & np.uint8(2**bits - 1)
    return codes.reshape(*octets.shape[:-1], -1)


def unpack_first(words: NDArray[Any], bits: int) -> Codes:
    """Words (m, n) that pack along the first axis to codes uint8 (n, m * 32 / bits): the packed axis comes last."""
    return unpack_last(np.ascontiguousarray(words.T), bits)


@dataclass(frozen=True)
class QuantizedTensor(TensorEntry, ABC):
    """`dtype` says how it is stored, in words; `shape` is that of the weights.

    `parts` are the tensors of the file that it is made of, by the last part of their names; `bits` is what a weight
    takes.
    """

    parts: Parts
    bits: int

    @property
    def is_quantized(self) -> bool:
        """See `TensorEntry`."""
        return True

    @property
    def is_float(self) -> bool:
        """Its weights can be read, whatever they are stored in."""
        return True

    @abstractmethod
    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `TensorEntry`."""


@dataclass(frozen=True, kw_only=True)
class IntegerTensor(QuantizedTensor):
    """A matrix of integers with a scale a group of columns.

    `order` is the group of each column, int64 (k,), where groups aren't runs of columns; None where they are.
    """

    group_size: int
    order: NDArray[np.int64] | None = field(default=None, compare=False)

    @abstractmethod
    def integers(self, start: int, stop: int) -> Integers:
        """See `TensorEntry`."""

    @abstractmethod
    def points(self, start: int, stop: int) -> Codes | None:
        """The zero points of rows start..stop, uint8 (stop - start, groups); None where the format has none."""

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `TensorEntry`."""
        found = self.integers(start, stop)
        return found.floats() if self.order is None else found.floats_by(self.order)

    @cached_property
    def form(self) -> IntegerForm | None:  # found once: it looks at all zero points
        """See `TensorEntry`."""
        if self.order is not None:
            return None
        points = self.points(0, self.shape[0])
        has_points = points is not None and bool((points != 2 ** (self.bits - 1)).any())
        return form_of(self.bits, self.group_size, points=has_points)

    @property
    def obstacle(self) -> str | None:
        """See `TensorEntry`."""
        if self.order is not None:
            return "its columns are in the order of their activations (act-order), which MatMulNBits can't follow"
        return f"groups of {self.group_size} are no multiple of 32" if self.form is None else None


def modules(entries: Mapping[str, TensorEntry], parts: Sequence[str]) -> Iterator[tuple[str, dict[str, TensorEntry]]]:
    """The modules that have the first of `parts`, each with those of the parts that are there."""
    leading = f".{parts[0]}"
    for name in entries:
        if name.endswith(leading):
            stem = name.removesuffix(leading)
            yield stem, {part: entries[found] for part in parts if (found := f"{stem}.{part}") in entries}


def required(stem: str, parts: Mapping[str, TensorEntry], names: Sequence[str]) -> None:
    """Refuse a module that lacks some of its tensors, or has one that is no matrix.

    Raises:
        CheckpointError: with the tensor's name.
    """
    for name in names:
        if name not in parts:
            raise CheckpointError(
                f"the checkpoint has {stem}.{next(iter(parts))} and lacks {stem}.{name}: fetch it again"
            )
        if len(parts[name].shape) != 2:
            raise CheckpointError(f"{stem}.{name} is {list(parts[name].shape)}; expected a matrix")


def act_order(g_idx: TensorEntry | None, k: int, group_size: int) -> NDArray[np.int64] | None:
    """The group of each of k columns by a module's own list, int64 (k,); None where groups are runs of columns.

    Raises:
        CheckpointError: the list is of another length, or names a group that isn't there.
    """
    if g_idx is None:
        return None
    if g_idx.shape != (k,):
        raise contradicting(g_idx, (k,))
    found = read_raw(g_idx, 0, k).astype(np.int64)
    if (found == np.arange(k) // group_size).all():
        return None
    if found.min() < 0 or found.max() >= k // group_size:
        raise CheckpointError(
            f"{g_idx.name} names the group {found.max()} in {g_idx.file.name}, of {k // group_size}: it is damaged, "
            "fetch it again"
        )
    return found


def contradicting(tensor: TensorEntry, expected: Sequence[int]) -> CheckpointError:
    """The error for a part whose shape the other parts of its module don't allow."""
    return CheckpointError(
        f"{tensor.name} is {list(tensor.shape)} in {tensor.file.name}; the tensors beside it make it {list(expected)}: "
        "config.json and weights disagree, fetch both again"
    )

"""A weight whose file holds integers or other small numbers, read as if it were a plain tensor.

Knows entries of safetensors files; must not know a format.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.safetensors_file import TensorEntry, read_raw
from thinkport.export.errors import CheckpointError
from thinkport.export.quantize.integers import IntegerForm, Integers, form_of

Parts = Mapping[str, TensorEntry]


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


@dataclass(frozen=True)
class IntegerTensor(QuantizedTensor):
    """A matrix of integers with a scale a group of columns."""

    group_size: int

    @abstractmethod
    def integers(self, start: int, stop: int) -> Integers:
        """See `TensorEntry`."""

    @property
    @abstractmethod
    def has_points(self) -> bool:
        """Whether some group has a zero point other than 2**(bits - 1)."""

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `TensorEntry`."""
        found = self.integers(start, stop)
        return found.floats() if self.order is None else found.floats_by(self.order)

    @cached_property
    def form(self) -> IntegerForm | None:  # found once: it looks at all zero points
        """See `TensorEntry`."""
        if self.order is not None:
            return None
        return form_of(self.bits, self.group_size, points=self.has_points)

    @property
    def order(self) -> NDArray[np.int64] | None:
        """The group of each column, int64 (k,), where groups aren't runs of columns; None where they are."""
        return None

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

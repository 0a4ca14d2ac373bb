"""The KV cache of a batch of sequences, in the two ways that a graph can take it, and copies of its start.

Knows buffers, lengths and IO binding; must not know tokens, files or what the graph computes.
"""

# ruff: noqa: D102 - what both kinds do is said in InPlaceCache

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thinkport.runtime.artifact.manifest import KvLayout, ModelShape, kv_width
from thinkport.runtime.engine.kv_buffers import Buffers
from thinkport.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thinkport.runtime.engine.kv_slab import Slot

STEP = 256  # tokens of capacity at first; it doubles up to LINEAR and then grows by LINEAR, on a device it only doubles
LINEAR = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class KvSnapshot:
    """Keys and values of the first `length` tokens, 1 or more, of one sequence.

    `parts` are a key and a value for each layer in turn, each (1, kv_heads, length, head_dim) in the data type of the
    graph's KV cache. Several lanes and threads may hold one snapshot: nobody writes to its arrays.
    """

    parts: tuple[npt.NDArray[Any], ...]

    def __post_init__(self) -> None:
        assert len({part.shape for part in self.parts}) == 1, "keys and values of all layers have one shape"
        assert self.length >= 1, "a snapshot holds at least a token"

    @property
    def length(self) -> int:
        """Its tokens."""
        return int(self.parts[0].shape[2])

    @property
    def layout(self) -> str:
        """Its data type and shape in words, without the length: snapshots of one layout fit the same lanes."""
        _, heads, _, width = self.parts[0].shape
        return layout_of(self.parts[0].dtype, len(self.parts) // 2, heads, width)

    @property
    def nbytes(self) -> int:
        """The memory of its tokens' keys and values."""
        return sum(part.nbytes for part in self.parts)

    def first(self, length: int) -> KvSnapshot:
        """The first `length` of its tokens, as a view: nothing is copied, and this snapshot's memory stays in use."""
        return self if length >= self.length else KvSnapshot(parts=tuple(part[:, :, :length] for part in self.parts))

    def owned(self) -> KvSnapshot:
        """The same tokens in memory of their own, so that `nbytes` is all that is kept alive."""
        if all(part.base is None for part in self.parts):
            return self
        return KvSnapshot(parts=tuple(np.array(part, order="C") for part in self.parts))


KvStart = tuple[list[int], KvSnapshot]  # ids, and their keys and values


def layout_of(dtype: npt.DTypeLike, layers: int, kv_heads: int, head_dim: int) -> str:
    """What a KV cache must have in common with a snapshot, as errors say it."""
    return f"{np.dtype(dtype).name}, {layers} layers of {kv_heads} heads of {head_dim}"


def capacities(limit: int, *, at_hand: bool) -> list[int]:
    """The capacities that a cache may have, of a fixed list, so that few growths copy it; the last is `limit`.

    On a device each is twice the one before: its allocator keeps what earlier ones took, which is then no more than the
    last one takes.
    """
    found, capacity = [], STEP
    while capacity < limit:
        found.append(capacity)
        capacity += min(capacity, LINEAR) if at_hand else capacity
    return [*found, limit]


def capacity_for(total: int, limit: int, *, at_hand: bool = True) -> int:
    """The least of the capacities that holds `total` tokens, at most `limit`."""
    found = capacities(limit, at_hand=at_hand)
    return found[min(bisect_left(found, total), len(found) - 1)]


@dataclass(frozen=True, kw_only=True)
class KvSize:
    """What a KV cache takes: `token` bytes for each token of a sequence of at most `context` tokens.

    `in_place`: one buffer of a capacity that grows by steps; otherwise past and present exist side by side. `at_hand`:
    the buffers are the CPU's, where one at a time is larger than the new size; a device has old and new ones at once
    and keeps all that it ever took.
    """

    token: int
    in_place: bool
    context: int
    at_hand: bool = True

    @property
    def ends_are_rewritten(self) -> bool:
        """Whether lanes can exchange their last tokens."""
        return self.in_place and self.at_hand

    def bytes(self, tokens: int) -> int:
        """The most bytes that a sequence which grew to so many tokens takes."""
        if not self.in_place:
            return self.token * 2 * tokens
        capacity = capacity_for(tokens, self.context, at_hand=self.at_hand)
        if self.at_hand:
            return self.token * capacity
        return self.token * sum(one for one in capacities(self.context, at_hand=False) if one <= capacity)

    def tokens(self, bytes: int) -> int:  # noqa: A002 - the quantity's own name
        """The most tokens that fit into so many bytes."""
        return max(0, bisect_right(range(self.context + 1), bytes, key=self.bytes) - 1)


class _KvCache:
    """Keys and values of every layer for `batch` sequences, each with its own length.

    Owns the values, which `buffers` makes; `binding` is the session's IO binding that they are bound to.
    """

    def __init__(self, buffers: Buffers, binding: Any, model: ModelShape, layout: KvLayout, batch: int):
        self._buffers, self._binding, self._model = buffers, binding, model
        self._dtype, self._width = np.dtype(layout.dtype), kv_width(model, layout)
        self._values: list[Any] = []  # a key and a value for each layer in turn
        self.batch = batch
        self.lengths: npt.NDArray[np.int64] = np.zeros(batch, np.int64)
        names = [f"{layer}.{part}" for layer in range(model.layers) for part in ("key", "value")]
        self._pasts = [f"past_key_values.{name}" for name in names]
        self._presents = [f"present.{name}" for name in names]

    @property
    def length(self) -> int:
        """The longest sequence's length in tokens."""
        return int(self.lengths[0] if self.batch == 1 else self.lengths.max())

    def read(self, length: int) -> KvSnapshot:
        """The first `length` tokens of the one sequence, one buffer after the other."""
        assert self.batch == 1, "a snapshot is of one sequence"
        assert 1 <= length <= self.length, "a snapshot is of tokens that are held"
        return KvSnapshot(parts=tuple(self._buffers.read(value, length) for value in self._values))

    def _check_fits(self, snapshot: KvSnapshot) -> None:
        assert self.batch == 1, "a snapshot is of one sequence"
        model = self._model
        own = layout_of(self._dtype, model.layers, model.kv_heads, self._width)
        if snapshot.layout != own:
            raise InputError(f"the KV snapshot is {snapshot.layout}, expected {own}: take it from the same graph")
        if snapshot.length > model.context_length:
            raise InputError(
                f"the KV snapshot has {snapshot.length} tokens, the model's context is {model.context_length}: "
                "take its first tokens only"
            )

    def _shape(self, tokens: int) -> tuple[int, int, int, int]:
        return (self.batch, self._model.kv_heads, tokens, self._width)


class InPlaceCache(_KvCache):
    """One buffer a layer and part, bound as past and as present, with room for later tokens.

    `slot` is the place among other sequences that they lie in, None where they are its own.
    """

    _capacity = 0
    slot: Slot | None = None
    _between: tuple[Slot | None, ...] = ()  # where values lie while they move, or since that was interrupted

    def prepare(self, total: int) -> None:
        """Bind past and present for a step after which the longest sequence has `total` tokens.

        Raises what ONNX Runtime raises where a device has no room; the cache is as before.
        """
        if total > self._capacity or self._between:
            self._grow(capacity_for(total, self._model.context_length, at_hand=self._buffers.at_hand))

    def advance(self, lengths: npt.NDArray[np.int64]) -> None:
        """Take what the step wrote; `lengths` are the sequences' lengths now."""
        self.lengths = lengths

    def trim(self, length: int) -> None:
        """Forget every token from `length` on."""
        self.lengths = np.minimum(self.lengths, length)

    def write(self, snapshot: KvSnapshot) -> None:
        """Hold the tokens of `snapshot` and no others; nothing of it is kept.

        Raises:
            InputError: it is of another layout, or longer than the model's context; the cache is as before.
        """
        self._check_fits(snapshot)
        length = snapshot.length
        if self._buffers.at_hand and length <= self._capacity:
            for value, part in zip(self._values, snapshot.parts, strict=True):
                value.numpy()[:, :, :length] = part
        else:
            wanted = capacity_for(length, self._model.context_length, at_hand=self._buffers.at_hand)
            capacity = max(self._capacity, wanted)
            self._move((self._buffers.resized(part, length, capacity) for part in snapshot.parts), capacity)
        self.lengths = np.array([length], np.int64)

    def read_end(self, start: int) -> KvSnapshot:
        """The tokens from `start` on, at least one; of the CPU's buffers."""
        parts = (value.numpy()[:, :, start : self.length] for value in self._values)
        return KvSnapshot(parts=tuple(np.array(part, order="C") for part in parts))

    def write_end(self, snapshot: KvSnapshot, start: int) -> None:
        """Hold the first `start` tokens and behind them those of `snapshot`; of the CPU's buffers."""
        assert self._buffers.at_hand, "a device's buffers are written whole"
        total = start + snapshot.length
        self.trim(start)
        self.prepare(total)
        for value, part in zip(self._values, snapshot.parts, strict=True):
            value.numpy()[:, :, start:total] = part
        self.lengths = np.array([total], np.int64)

    def move_to(self, slot: Slot) -> None:
        """Copy what is held into a slot, and have that from now on; of the CPU's buffers."""
        length, make = self.length, self._buffers

        def filled() -> Iterable[Any]:
            for value, room in zip(self._values, slot.arrays(), strict=True):
                room[:, :, :length] = value.numpy()[:, :, :length]
                yield make.of(room)

        self._move(filled(), slot.capacity, slot)

    def move_out(self) -> None:
        """Copy what is held into buffers of its own; the slot is free then."""
        capacity = capacity_for(self.length, self._model.context_length, at_hand=self._buffers.at_hand)
        if self.length:
            self._move((self._buffers.resized(value, self.length, capacity) for value in self._values), capacity)
        else:
            self._grow(capacity)

    def _grow(self, capacity: int) -> None:
        kept, make = self.length, self._buffers
        if kept:
            self._move((make.resized(value, kept, capacity) for value in self._values), capacity)
        else:
            self._move((make.zeros(self._shape(capacity), self._dtype) for _ in self._pasts), capacity)

    def _move(self, made: Iterable[Any], capacity: int, slot: Slot | None = None) -> None:
        """Put new buffers in place of the old ones.

        The CPU's one at a time, so that the peak is one above the new size. A device's once all are made: its allocator
        keeps the old ones in either order, and where it has no room for new ones the cache stays as it was. Where the
        thread is interrupted meanwhile, some values are in the old place and some in the new one, and both are kept.
        """
        with self._buffers.turn:
            values = made if self._buffers.at_hand else list(made)
            if not self._values:
                self._values = [None] * len(self._pasts)
            self._between = (*self._between, self.slot, slot)
            self._capacity, self.slot = min(self._capacity, capacity), None
            for index, value in enumerate(values):
                self._values[index] = value
                self._binding.bind_ortvalue_input(self._pasts[index], value)
                self._binding.bind_ortvalue_output(self._presents[index], value)
            self._capacity, self.slot, self._between = capacity, slot, ()


class AppendedCache(_KvCache):
    """Past is exactly the tokens seen; every step returns a new present that is past with the new tokens added."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._values = self._empty()
        self._bind_presents()

    def prepare(self, total: int) -> None:
        for past, value in zip(self._pasts, self._values, strict=True):
            self._binding.bind_ortvalue_input(past, value)
        self._bind_presents()

    def advance(self, lengths: npt.NDArray[np.int64]) -> None:
        outputs = self._binding.get_outputs()
        self._values = outputs[len(outputs) - len(self._presents) :]  # the logits were bound before
        self.lengths = lengths

    def trim(self, length: int) -> None:
        if length < self.length:
            kept = [self._buffers.resized(value, length, length) for value in self._values] if length else self._empty()
            self._values = kept
            self.lengths = np.minimum(self.lengths, length)

    def write(self, snapshot: KvSnapshot) -> None:
        """A copy for each buffer even where the snapshot's own would do: a lane must not keep a shared one alive."""
        self._check_fits(snapshot)
        length = snapshot.length
        self._values = [self._buffers.resized(part, length, length) for part in snapshot.parts]
        self.lengths = np.array([length], np.int64)

    def _empty(self) -> list[Any]:
        return [self._buffers.zeros(self._shape(0), self._dtype) for _ in self._pasts]

    def _bind_presents(self) -> None:
        """Ask for fresh presents. Outputs come back in the order first bound, so the constructor binds these first."""
        for present in self._presents:
            self._buffers.bind_output(self._binding, present)


KvCache = InPlaceCache | AppendedCache

"""Slots of KV caches side by side, so that one step takes the next token of several sequences without a copy.

A slab is an array (rows, kv_heads, capacity, head_dim) a layer and part. Slot i of it, `[i:i+1]`, is laid out as a KV
cache of one sequence, and neighbours `[i:j]` as one of a batch. Knows KV caches; must not know steps or tokens.
"""

import mmap
import weakref
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.kv_cache import InPlaceCache, capacity_for

FIRST = 4096  # tokens of a slab's slots at first, which take memory only as they are filled
_RECENT = 2  # steps without a row after which another one may have its slot
Array = npt.NDArray[Any]


class Slot:
    """A place in a slab; free again once nobody holds this object."""

    def __init__(self, slab: "Slab", index: int):
        self.slab, self.index = slab, index

    def __del__(self) -> None:
        """Give its pages back; takes no lock, since garbage is collected in any thread, within any lock."""
        self.slab.release(self.index)

    @property
    def capacity(self) -> int:
        """The tokens that it has room for."""
        return self.slab.capacity

    def arrays(self) -> list[Array]:
        """Its keys and values, (1, kv_heads, capacity, head_dim) each, a key and a value for each layer in turn."""
        return [part[self.index : self.index + 1] for part in self.slab.parts]


class Slab:
    """Slots for several sequences, free ones with anything in them; `number` is its own among all slabs, from 1 on."""

    _numbers = count(1)

    def __init__(self, parts: int, shape: Sequence[int], dtype: npt.DTypeLike):
        """So many arrays of `shape` (rows, kv_heads, capacity, head_dim)."""
        self.number, self.rows, self.capacity = next(self._numbers), shape[0], shape[2]
        self._blocks = [_Block(shape, dtype) for _ in range(parts)]
        self.parts = [block.array for block in self._blocks]
        self.caches: list[weakref.ref[InPlaceCache] | None] = [None] * self.rows  # who has which slot

    def take(self, index: int, cache: InPlaceCache) -> Slot:
        """The slot of that index, which is free."""
        assert self.caches[index] is None, "a slot holds one sequence"
        self.caches[index] = weakref.ref(cache)
        return Slot(self, index)

    def release(self, index: int) -> None:
        """Give a slot's pages back, then call it free."""
        for block in self._blocks:
            block.drop(index)
        self.caches[index] = None


class _Block:
    """An array whose pages come as they are written, one of 4 KiB at a time, and go slot by slot.

    Huge pages would make short rows pay for the capacity of long ones.
    """

    def __init__(self, shape: Sequence[int], dtype: npt.DTypeLike):
        self._mapping: mmap.mmap | None = None
        if not hasattr(mmap, "MADV_NOHUGEPAGE"):
            self.array: Array = np.zeros(shape, dtype)
            return
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._mapping.madvise(mmap.MADV_NOHUGEPAGE)
        self.array = np.frombuffer(self._mapping, dtype).reshape(shape)

    def drop(self, index: int) -> None:
        """Give back the pages that slot `index` has for itself."""
        if self._mapping is None:
            return
        size = self.array[0].nbytes
        start = -(-index * size // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (index + 1) * size // mmap.PAGESIZE * mmap.PAGESIZE
        if end > start:
            self._mapping.madvise(mmap.MADV_DONTNEED, start, end - start)


class Slots:
    """The slots of one session's KV caches: at most `rows` at a time, all in one slab."""

    def __init__(self, rows: int, context: int, make: Callable[[int], Slab]):
        """`make` gives a slab of a capacity."""
        self.lock = RLock()  # held while caches move, and while others than a step touch their buffers
        self._rows, self._context, self._make = rows, context, make
        self._slab: weakref.ref[Slab] | None = None  # its slots hold it
        self._step = 0
        self._used: list[int] = [0] * rows  # the latest step in which each slot's row took part

    @property
    def slab(self) -> Slab | None:
        """Where they are; None while no KV cache has one."""
        return self._slab() if self._slab else None

    def gather(self, caches: Sequence[InPlaceCache]) -> list[list[InPlaceCache]]:
        """Give each cache a slot with room for a token more; those of neighbours, in the order of their slots.

        Raises:
            MemoryError: there is no memory for a slab; the caches are as before.
        """
        with self.lock:
            self._step += 1
            slab = self._roomy(max(cache.length for cache in caches) + 1)
            for cache in caches:
                if cache.slot is None or cache.slot.slab is not slab:
                    cache.move_to(slab.take(self._place(slab, caches), cache))
            taken = self._side_by_side(slab, caches)
            for index in taken:
                self._used[index] = self._step
        runs: list[list[InPlaceCache]] = [[taken[min(taken)]]]
        for one, other in pairwise(sorted(taken)):
            if other - one > 1:
                runs.append([])
            runs[-1].append(taken[other])
        return runs

    def _roomy(self, tokens: int) -> Slab:
        """The slab, or a larger one in its place that its caches move to."""
        old = self.slab
        if old is not None and old.capacity >= tokens:
            return old
        slab = self._make(capacity_for(max(tokens, min(FIRST, self._context)), self._context))
        for index, cache in self._caches(old):
            cache.move_to(slab.take(index, cache))
        self._slab = weakref.ref(slab)
        return slab

    def _caches(self, slab: Slab | None) -> list[tuple[int, InPlaceCache]]:
        held = [] if slab is None else enumerate(slab.caches)
        return [(index, cache) for index, ref in held if ref is not None and (cache := ref()) is not None]

    def _place(self, slab: Slab, wanted: Sequence[InPlaceCache]) -> int:
        """A free slot, the first; or that of the row that has taken part in no step for the longest time."""
        for index, ref in enumerate(slab.caches):
            if ref is None:
                return index
        idle = [(self._used[index], index, cache) for index, cache in self._caches(slab) if cache not in wanted]
        if not idle:  # one that is being freed keeps its slot for a moment
            raise MemoryError("no slot is free")
        _, index, cache = min(idle, key=lambda one: one[:2])
        cache.move_out()
        return index

    def _side_by_side(self, slab: Slab, wanted: Sequence[InPlaceCache]) -> dict[int, InPlaceCache]:
        """The wanted caches by slot, after the last ones took slots between them that nobody used lately."""
        taken = {cache.slot.index: cache for cache in wanted if cache.slot is not None}
        for gap in range(min(taken), max(taken)):
            last = max(taken)
            ref = slab.caches[gap]
            if gap in taken or gap > last or (ref is not None and self._step - self._used[gap] < _RECENT):
                continue
            cache, other = taken.pop(last), None if ref is None else ref()
            if other is not None:
                other.move_out()
            cache.move_to(slab.take(gap, cache))
            if other is not None:
                other.move_to(slab.take(last, other))
            taken[gap] = cache
            self._used[gap], self._used[last] = self._step, 0
        return taken

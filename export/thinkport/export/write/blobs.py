"""Where every weight's bytes lie in `weights.bin`: planned over all graphs before the first byte is read.

Knows offsets and sizes only; must not read a checkpoint or write a file. A weight has one place, whichever graphs read
it: the same weight in the same type is one blob. A weight that another graph packs with others is a range of rows of
the packed blob, and so is a piece of a weight's rows.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import onnx_ir as ir

from thinkport.export.trace.initializers import WeightSource, dims, source_of
from thinkport.export.trace.names import layer_of

PAGE = 4096  # ONNX Runtime maps external data by pages
LINE = 64  # bytes of a cache line, which aligns what is smaller than a page
INLINE_BYTES = 1024  # shapes, axes and the like stay in the graph file, where ONNX Runtime can fold them

RowsOf = Callable[[str], int]
"""Rows of a checkpoint tensor by its name."""

Key = tuple[WeightSource | str, ir.DataType]
"""What makes two initializers' bytes the same: their source, or the hash of a constant, and their type."""


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A byte range of `weights.bin`. `constant` holds the bytes themselves where they come from no checkpoint."""

    offset: int
    nbytes: int
    dtype: ir.DataType
    source: WeightSource | None = None
    constant: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The blobs in file order, and the byte range that each initializer reads: a blob, or rows of one."""

    blobs: tuple[Blob, ...]
    places: Mapping[Key, Blob]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return max((blob.offset + blob.nbytes for blob in self.blobs), default=0)

    def place(self, value: ir.Value) -> Blob | None:
        """Where an initializer's bytes lie; None where it stays in the graph file."""
        return None if _stays_inline(value) else self.places[_key(value)]


def plan_blobs(graphs: Sequence[ir.Graph], rows_of: RowsOf) -> Layout:
    """Give every initializer that is not tiny a place; initializers with the same bytes share one."""
    initializers = [value for graph in graphs for value in graph.initializers.values()]
    values = {_key(value): value for value in initializers if not _stays_inline(value)}
    sizes = {key: nbytes_of(value) for key, value in values.items()}
    cuts = {key: cut for key in sizes if (cut := _cut(key)) is not None}
    for key, (whole, start, stop) in cuts.items():
        sizes[whole] = sizes.pop(key) // (stop - start) * _rows_in(whole, rows_of)
    sizes |= _scales_of_packed(sizes, rows_of)
    widest = _widest(sizes)
    places: dict[Key, Blob] = {}
    end = 0
    for key in sorted((key for key in sizes if key not in widest), key=_codes_then_scales):
        (source, dtype), nbytes, value = key, sizes[key], values.get(key)
        alignment = PAGE if nbytes >= PAGE else LINE
        places[key] = Blob(
            offset=-(-end // alignment) * alignment,
            nbytes=nbytes,
            dtype=dtype,
            source=source if isinstance(source, WeightSource) else None,
            constant=None if value is None or value.const_value is None else value.const_value.numpy(),
        )
        end = places[key].offset + nbytes
    blobs = tuple(places.values())
    places |= {key: _rows(key, sizes[key], places[packed], rows_of) for key, packed in widest.items()}
    for key, (whole, start, stop) in cuts.items():
        row = places[whole].nbytes // _rows_in(whole, rows_of)
        places[key] = replace(places[whole], offset=places[whole].offset + row * start, nbytes=row * (stop - start))
    return Layout(blobs=blobs, places=places)


def nbytes_of(value: ir.Value) -> int:
    """Bytes of an initializer, known from its type and shape alone."""
    assert value.dtype is not None
    return int(prod(dims(value)) * value.dtype.itemsize)  # itemsize is a float: there are types of half a byte


def _stays_inline(value: ir.Value) -> bool:
    """Whether an initializer stays in the graph file.

    Codes and scales never do: the pass that writes the weights makes them.
    """
    source = source_of(value)
    return nbytes_of(value) <= INLINE_BYTES and (source is None or source.part == "whole")


def _key(value: ir.Value) -> Key:
    assert value.dtype is not None
    source = source_of(value)
    if source is not None:
        return source, value.dtype
    assert value.const_value is not None
    return hashlib.sha256(value.const_value.tobytes()).hexdigest(), value.dtype


def _widest(keys: Iterable[Key]) -> dict[Key, Key]:
    """Each weight that some graph packs with others, and the packed weight that holds it."""
    found: dict[Key, Key] = {}
    sources = {key: key[0] for key in keys if isinstance(key[0], WeightSource)}
    packed: dict[str, list[tuple[Key, WeightSource]]] = {}
    for wide_key, wide in sources.items():
        for name in wide.tensors[: len(wide.tensors) * (len(wide.tensors) > 1)]:
            packed.setdefault(name, []).append((wide_key, wide))
    for key, source in sources.items():
        for wide_key, wide in packed.get(source.tensors[0], []):
            same_kind = key[1] == wide_key[1] and (source.part, source.role) == (wide.part, wide.role)
            if same_kind and len(source.tensors) < len(wide.tensors) and _first(source, wide) is not None:
                found[key] = wide_key
    return found


def _first(source: WeightSource, wide: WeightSource) -> int | None:
    """The index of the packed tensor that a weight starts with; None if it is no run of them."""
    size = len(source.tensors)
    starts = range(len(wide.tensors) - size + 1)
    return next((at for at in starts if wide.tensors[at : at + size] == source.tensors), None)


def _cut(key: Key) -> tuple[Key, int, int] | None:
    """The weight that a piece is of, its first row and the one behind its last; None for what is whole."""
    source, dtype = key
    if isinstance(source, str) or source.rows is None:
        return None
    return (replace(source, rows=None), dtype), *source.rows


def _rows_in(key: Key, rows_of: RowsOf) -> int:
    assert isinstance(key[0], WeightSource)
    return sum(map(rows_of, key[0].tensors))


def _rows(key: Key, nbytes: int, packed: Blob, rows_of: RowsOf) -> Blob:
    source = key[0]
    assert isinstance(source, WeightSource)
    assert packed.source is not None
    before = packed.source.tensors[: _first(source, packed.source)]
    row_bytes = packed.nbytes // sum(rows_of(name) for name in packed.source.tensors)
    offset = packed.offset + row_bytes * sum(rows_of(name) for name in before)
    return replace(packed, offset=offset, nbytes=nbytes, source=source)


def _scales_of_packed(sizes: Mapping[Key, int], rows_of: RowsOf) -> dict[Key, int]:
    """Bytes of packed scales that no graph reads whole: some graph reads rows of packed codes with scales of another
    type.

    Codes and scales are written in one pass, so scales are packed as their codes are.
    """
    found: dict[Key, int] = {}
    for (codes, _), (packed, _) in _widest(sizes).items():
        assert isinstance(codes, WeightSource)
        assert isinstance(packed, WeightSource)
        if codes.part != "codes":
            continue
        for (source, dtype), nbytes in sizes.items():
            if source == replace(codes, part="scales"):
                rows, all_rows = (sum(map(rows_of, names)) for names in (codes.tensors, packed.tensors))
                found[replace(packed, part="scales"), dtype] = nbytes // rows * all_rows
    return found


def _codes_then_scales(key: Key) -> tuple[bool, tuple[tuple[int, str], ...], str, str]:
    """The order of blobs: by layer, and codes directly before their zero points and scales, which one pass writes.

    Weights outside the layers come last: the inputs of lm_head are known once those of all layers are.
    """
    source, dtype = key
    if isinstance(source, str):
        return (True, (), source, dtype.name)
    return (layer_of(source.tensors[0]) is None, _natural("/".join(source.tensors)), source.part, dtype.name)


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts layer 2 before layer 10: layers are written in the order in which a model computes them."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in name.split("."))

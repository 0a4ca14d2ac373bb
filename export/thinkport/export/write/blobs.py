"""Where every weight's bytes lie in `weights.bin`: planned before the first is read.

Knows offsets and sizes only; must not read a checkpoint or write a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from thinkport.export.trace.source import Source, source_of

ALIGNMENT = 4096  # ONNX Runtime maps external data by pages
INLINE_BYTES = 64 << 10  # norms and small tables stay in the graph file


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A byte range of `weights.bin`. `constant` holds the bytes themselves where they come from no checkpoint."""

    offset: int
    nbytes: int
    source: Source | None = None
    constant: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The blobs in file order, and which blob each initializer of a graph reads."""

    blobs: tuple[Blob, ...]
    by_name: Mapping[str, Blob]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return max((blob.offset + blob.nbytes for blob in self.blobs), default=0)


def plan_blobs(graph: ir.Graph) -> Layout:
    """Give every large initializer a place; initializers with the same source share one."""
    blobs: list[Blob] = []
    shared: dict[Source, Blob] = {}
    by_name: dict[str, Blob] = {}
    end = 0
    for name, value in sorted(graph.initializers.items(), key=_codes_then_scales):
        source = source_of(value)
        if nbytes_of(value) <= INLINE_BYTES and (source is None or source.part == "whole"):
            continue
        if source is not None and source in shared:
            by_name[name] = shared[source]
            continue
        constant = None if value.const_value is None else value.const_value.numpy()
        blob = Blob(offset=end, nbytes=nbytes_of(value), source=source, constant=constant)
        end += -(-blob.nbytes // ALIGNMENT) * ALIGNMENT
        blobs.append(blob)
        by_name[name] = blob
        if source is not None:
            shared[source] = blob
    return Layout(blobs=tuple(blobs), by_name=by_name)


def nbytes_of(value: ir.Value) -> int:
    """Bytes of an initializer, known from its type and shape alone."""
    assert value.dtype is not None
    assert value.shape is not None
    count = int(np.prod([int(dim) for dim in value.shape], dtype=np.int64))  # type: ignore[arg-type]
    return int(count * value.dtype.itemsize)  # itemsize is a float: there are types of half a byte


def _codes_then_scales(item: tuple[str, ir.Value]) -> tuple[tuple[tuple[int, str], ...], str]:
    """Codes directly before their scales, so that both are written from one pass over the weights; layers in order."""
    source = source_of(item[1])
    if source is None:
        return ((), item[0])
    return (_natural("/".join(source.tensors)), source.part)


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Layer 2 before layer 10: layers are written in the order in which a model computes them."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in name.split("."))

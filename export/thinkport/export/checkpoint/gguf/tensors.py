"""Tensors of a GGUF file as a checkpoint's: plain numbers, integers that are kept, and all that the gguf package reads.

Knows ggml's blocks (ggml-common.h): Q4_0 is a float16 scale and 16 bytes of 32 codes, those of the first half in the
low bits; Q8_0 a float16 scale and 32 int8. llama.cpp stores the rows of Llama's q and k in the order of its own rotary
embedding, which turns neighbours against one another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.gguf.header import GgufEntry
from thinkport.export.checkpoint.quantized.tensor import IntegerTensor, QuantizedTensor
from thinkport.export.checkpoint.safetensors_file import TensorEntry, as_floats, read_raw
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.quantize.integers import Integers
from thinkport.runtime.extras import require

_BLOCK = 32
_PLAIN: Mapping[int, tuple[str, int, str]] = MappingProxyType(
    {0: ("F32", 4, "<f4"), 1: ("F16", 2, "<f2"), 30: ("BF16", 2, "<u2")}
)
_Q4_0, _Q8_0 = 2, 8
_INTEGERS = {_Q4_0: (4, 18), _Q8_0: (8, 34)}  # bits, and bytes of a block


def gguf_tensor(file: Path, entry: GgufEntry, name: str, heads: int | None) -> TensorEntry:
    """The tensor `name` of a checkpoint; `heads` is given where rows of each head are in llama.cpp's own order.

    Raises:
        CheckpointError: the file ends before the tensor does, or rows are no whole blocks.
        UnsupportedModelError: a type that the gguf package doesn't know.
        MissingExtraError: it needs the gguf package, which is not installed.
    """
    label, block, size = _layout(entry.kind)
    if not entry.shape or entry.shape[-1] % block:
        raise CheckpointError(f"{file.name}: {entry.name} is {list(entry.shape)}, no whole blocks of {block}")
    count = entry.shape[0] if len(entry.shape) > 1 else 1
    a_row = entry.shape[-1] // block * size
    if entry.offset + count * a_row > file.stat().st_size:
        raise CheckpointError(f"{file.name} is cut short: {entry.name} would end beyond it; fetch it again")
    base = (file, entry.offset, count * a_row)
    if entry.kind in _PLAIN and heads is None:
        return TensorEntry(name, label, entry.shape, *base)
    raw = TensorEntry(name, "U8", (count, a_row), *base)
    parts: dict[str, Any] = {"parts": {"bytes": raw}, "heads": heads}
    if entry.kind in _INTEGERS:
        bits = _INTEGERS[entry.kind][0]
        return GgufIntegers(name, label, entry.shape, *base, bits=bits, group_size=_BLOCK, **parts)
    return GgufFloats(name, label, entry.shape, *base, bits=8 * size // block, kind=entry.kind, **parts)


@dataclass(frozen=True, kw_only=True)
class GgufIntegers(IntegerTensor):
    """A matrix in Q4_0 or Q8_0."""

    heads: int | None

    def points(self, start: int, stop: int) -> None:
        """See `IntegerTensor`."""

    def integers(self, start: int, stop: int) -> Integers:
        """See `TensorEntry`."""
        blocks = _raw_rows(self.parts["bytes"], start, stop, self.heads)
        blocks = blocks.reshape(stop - start, self.shape[1] // _BLOCK, -1)
        scales, packed = np.ascontiguousarray(blocks[..., :2]).view("<f2")[..., 0], blocks[..., 2:]
        codes = _halves(packed) if self.bits == 4 else packed ^ np.uint8(0x80)  # 128 more than the int8
        rows = codes.reshape(stop - start, -1)
        return Integers(codes=rows, scales=scales.astype(np.float32), points=None, bits=self.bits)


@dataclass(frozen=True)
class GgufFloats(QuantizedTensor):
    """A tensor of any other type, or a plain one whose rows are in llama.cpp's order."""

    heads: int | None
    kind: int

    @property
    def is_quantized(self) -> bool:
        """See `TensorEntry`."""
        return self.kind not in _PLAIN

    @property
    def obstacle(self) -> str | None:
        """See `TensorEntry`."""
        return f"MatMulNBits has no such groups as {self.dtype}" if self.is_quantized else None

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `TensorEntry`."""
        if len(self.shape) == 1:
            return self._floats(read_raw(self.parts["bytes"], 0, 1)).reshape(-1)[start:stop]
        return self._floats(_raw_rows(self.parts["bytes"], start, stop, self.heads))

    def _floats(self, blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.kind in _PLAIN:
            return as_floats(self, blocks.view(_PLAIN[self.kind][2]))
        gguf = _package()
        return np.asarray(gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType(self.kind)), np.float32)


def _layout(kind: int) -> tuple[str, int, int]:
    """What a type is called, the weights of a block, and its bytes."""
    if kind in _PLAIN:
        return _PLAIN[kind][0], 1, _PLAIN[kind][1]
    if kind in _INTEGERS:
        return f"GGUF {'Q4_0' if kind == _Q4_0 else 'Q8_0'}", _BLOCK, _INTEGERS[kind][1]
    gguf = _package()
    try:
        found = gguf.GGMLQuantizationType(kind)
        gguf.quants.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[found][1]), np.uint8), found)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise UnsupportedModelError(
            f"the GGUF file holds tensors of type {kind}, which the installed gguf package can't read: upgrade it, or "
            "export the bf16 checkpoint that the file was made from"
        ) from error
    block, size = gguf.GGML_QUANT_SIZES[found]
    return f"GGUF {found.name}", block, size


def _halves(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([packed & 0x0F, packed >> 4], axis=-1)


def _package() -> Any:
    require("export", "gguf")
    import gguf

    return gguf


def _raw_rows(raw: TensorEntry, start: int, stop: int, heads: int | None) -> NDArray[np.uint8]:
    """Rows start..stop in a checkpoint's order, in which channel i of a head turns against i + head_dim / 2."""
    if heads is None:
        return read_raw(raw, start, stop)
    head_dim = raw.shape[0] // heads
    head, channel = np.divmod(np.arange(start, stop), head_dim)
    half, pair = np.divmod(channel, head_dim // 2)
    stored = head * head_dim + 2 * pair + half
    if not len(stored):
        return read_raw(raw, start, stop)
    first = int(stored.min())
    found: NDArray[np.uint8] = read_raw(raw, first, int(stored.max()) + 1)[stored - first]
    return found

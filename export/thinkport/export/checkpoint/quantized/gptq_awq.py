"""GPTQ checkpoints, as AutoGPTQ and GPTQModel write them, and AWQ checkpoints in AutoAWQ's "gemm" layout.

Both pack the codes of a linear layer of N outputs and K inputs, in groups of g, into 32-bit words.

GPTQ at b bits (GPTQModel's `nn_modules/qlinear`):

- `qweight` int32 (K·b/32, N): codes packed along the inputs
- `qzeros` int32 (K/g, N·b/32): zero points packed along the outputs; in the first format (`checkpoint_format` "gptq")
  the words hold less than the points by one in every field, in the second ("gptq_v2") the points themselves
- `scales` float16 (K/g, N)
- `g_idx` int32 (K): the group of each input; without act-order i // g
- `bias` (N): zeros where the layer has none, in older files

AWQ at 4 bits (AutoAWQ's `modules/linear/gemm.py`):

- `qweight` int32 (K, N/8) and `qzeros` int32 (K/g, N/8): eight outputs a word, in the order 0, 2, 4, 6, 1, 3, 5, 7 from
  the lowest bits up
- `scales` float16 (K/g, N)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinkport.export.checkpoint.quantized.tensor import (
    WORD_BITS,
    Codes,
    IntegerTensor,
    act_order,
    contradicting,
    modules,
    required,
    unpack_first,
    unpack_last,
)
from thinkport.export.checkpoint.safetensors_file import TensorEntry, as_floats, read_columns
from thinkport.export.errors import UnsupportedModelError
from thinkport.export.quantize.integers import Integers

PARTS = ("qweight", "qzeros", "scales", "g_idx")
_FIRST_FORMAT, _SECOND_FORMAT = "gptq", "gptq_v2"
_ONES = {4: 0x11111111, 8: 0x01010101}  # one in every field of a word
_AWQ_PARTS = ("qweight", "qzeros", "scales")
_AWQ_BITS, _AWQ_A_WORD = 4, 8
_AWQ_PLACES = [0, 4, 1, 5, 2, 6, 3, 7]  # where in a word each of eight outputs lies


@dataclass(frozen=True, kw_only=True)
class GptqTensor(IntegerTensor):
    """One linear layer. `ones` is added to a word of `qzeros` to give points."""

    ones: int

    def integers(self, start: int, stop: int) -> Integers:
        """See `TensorEntry`."""
        scales = as_floats(self.parts["scales"], read_columns(self.parts["scales"], start, stop))
        return Integers(
            codes=unpack_first(read_columns(self.parts["qweight"], start, stop), self.bits),
            scales=np.ascontiguousarray(scales.T),
            points=self.points(start, stop),
            bits=self.bits,
        )

    def points(self, start: int, stop: int) -> Codes:
        """See `IntegerTensor`."""
        a_word = WORD_BITS // self.bits
        first = start // a_word
        words = read_columns(self.parts["qzeros"], first, -(-stop // a_word)).astype(np.int64)
        words = (words + self.ones) & 0xFFFFFFFF
        points = unpack_last(words, self.bits)[:, start - first * a_word : stop - first * a_word]
        return np.ascontiguousarray(points.T)


def gptq_tensors(
    entries: Mapping[str, TensorEntry], config: Mapping[str, Any]
) -> Iterator[tuple[GptqTensor, list[TensorEntry]]]:
    """Every quantized layer, with the tensors that it is made of.

    Raises:
        UnsupportedModelError: other bits than 4 and 8, or another format.
        CheckpointError: a tensor is missing, or has another shape than the others make it.
    """
    bits, kind = config.get("bits"), config.get("checkpoint_format", _FIRST_FORMAT)
    if bits not in _ONES or kind not in (_FIRST_FORMAT, _SECOND_FORMAT):
        raise UnsupportedModelError(
            f"the checkpoint is quantized by GPTQ with {bits!r} bits in the format {kind!r}: 4 and 8 bits in "
            f"{_FIRST_FORMAT!r} and {_SECOND_FORMAT!r} are supported; export the bf16 checkpoint that it was made from"
        )
    ones = _ONES[bits] if kind == _FIRST_FORMAT else 0
    for stem, parts in modules(entries, PARTS):
        yield _tensor(stem, parts, bits, ones), [*parts.values(), *_empty_bias(entries.get(f"{stem}.bias"))]


def _empty_bias(bias: TensorEntry | None) -> list[TensorEntry]:
    """A bias of zeros, which older AutoGPTQ stores for layers that have none."""
    return [] if bias is None or not bias.is_float or bias.rows(0, bias.shape[0]).any() else [bias]


def _tensor(stem: str, parts: dict[str, TensorEntry], bits: int, ones: int) -> GptqTensor:
    required(stem, parts, ("qweight", "qzeros", "scales"))
    a_word = WORD_BITS // bits
    (words, n), (groups, _), zeros = (parts[part].shape for part in ("qweight", "scales", "qzeros"))
    k = words * a_word
    if parts["scales"].shape[1] != n:
        raise contradicting(parts["scales"], (groups, n))
    if zeros != (groups, n // a_word) or k % groups:
        raise contradicting(parts["qzeros"], (groups, n // a_word))
    size = k // groups
    plain = (f"{stem}.weight", f"GPTQ of {bits} bits in groups of {size}", (n, k), *parts["qweight"].place)
    order = act_order(parts.get("g_idx"), k, size)
    return GptqTensor(*plain, parts=parts, bits=bits, group_size=size, ones=ones, order=order)


@dataclass(frozen=True)
class AwqTensor(IntegerTensor):
    """One linear layer."""

    def integers(self, start: int, stop: int) -> Integers:
        """See `TensorEntry`."""
        scales = as_floats(self.parts["scales"], read_columns(self.parts["scales"], start, stop))
        return Integers(
            codes=self._outputs("qweight", start, stop),
            scales=np.ascontiguousarray(scales.T),
            points=self.points(start, stop),
            bits=_AWQ_BITS,
        )

    def points(self, start: int, stop: int) -> Codes:
        """See `IntegerTensor`."""
        return self._outputs("qzeros", start, stop)

    def _outputs(self, part: str, start: int, stop: int) -> Codes:
        """Columns start..stop of packed outputs, uint8 (stop - start, rows)."""
        first = start // _AWQ_A_WORD
        fields = unpack_last(read_columns(self.parts[part], first, -(-stop // _AWQ_A_WORD)), _AWQ_BITS)
        outputs = fields.reshape(len(fields), -1, _AWQ_A_WORD)[..., _AWQ_PLACES].reshape(len(fields), -1)
        return np.ascontiguousarray(outputs[:, start - first * _AWQ_A_WORD : stop - first * _AWQ_A_WORD].T)


def awq_tensors(
    entries: Mapping[str, TensorEntry], config: Mapping[str, Any]
) -> Iterator[tuple[AwqTensor, list[TensorEntry]]]:
    """Every quantized layer, with the tensors that it is made of.

    Raises:
        UnsupportedModelError: another layout, or other bits than 4.
        CheckpointError: a tensor is missing, or has another shape than the others make it.
    """
    version, bits = str(config.get("version", "gemm")).lower(), config.get("bits", _AWQ_BITS)
    if version != "gemm" or bits != _AWQ_BITS:
        raise UnsupportedModelError(
            f"the checkpoint is quantized by AWQ with {bits!r} bits in the layout {version!r}: 4 bits in 'gemm' are "
            "supported; export the bf16 checkpoint that it was made from"
        )
    for stem, parts in modules(entries, _AWQ_PARTS):
        yield _awq_tensor(stem, parts), [*parts.values()]


def _awq_tensor(stem: str, parts: dict[str, TensorEntry]) -> AwqTensor:
    required(stem, parts, _AWQ_PARTS)
    (k, words), (groups, n), zeros = (parts[part].shape for part in ("qweight", "scales", "qzeros"))
    if words * _AWQ_A_WORD != n or not groups or k % groups:
        raise contradicting(parts["scales"], (groups, words * _AWQ_A_WORD))
    if zeros != (groups, words):
        raise contradicting(parts["qzeros"], (groups, words))
    form = f"AWQ of {_AWQ_BITS} bits in groups of {k // groups}"
    plain = (f"{stem}.weight", form, (n, k), *parts["qweight"].place)
    return AwqTensor(*plain, parts=parts, bits=_AWQ_BITS, group_size=k // groups)

"""AWQ checkpoints in AutoAWQ's "gemm" layout.

Of a linear layer of N outputs and K inputs, in groups of g (AutoAWQ's `modules/linear/gemm.py`, 4 bits):

- `qweight` int32 (K, N/8) and `qzeros` int32 (K/g, N/8): eight outputs a word, in the order 0, 2, 4, 6, 1, 3, 5, 7 from
  the lowest bits up
- `scales` float16 (K/g, N)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinkport.export.checkpoint.quantized.tensor import (
    Codes,
    IntegerTensor,
    contradicting,
    modules,
    required,
    unpack_last,
)
from thinkport.export.checkpoint.safetensors_file import TensorEntry, as_floats, read_columns
from thinkport.export.errors import UnsupportedModelError
from thinkport.export.quantize.integers import Integers

PARTS = ("qweight", "qzeros", "scales")
_BITS, _A_WORD = 4, 8
_PLACES = [0, 4, 1, 5, 2, 6, 3, 7]  # where in a word each of eight outputs lies


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
            bits=_BITS,
        )

    def points(self, start: int, stop: int) -> Codes:
        """See `IntegerTensor`."""
        return self._outputs("qzeros", start, stop)

    def _outputs(self, part: str, start: int, stop: int) -> Codes:
        """Columns start..stop of packed outputs, uint8 (stop - start, rows)."""
        first = start // _A_WORD
        fields = unpack_last(read_columns(self.parts[part], first, -(-stop // _A_WORD)), _BITS)
        outputs = fields.reshape(len(fields), -1, _A_WORD)[..., _PLACES].reshape(len(fields), -1)
        return np.ascontiguousarray(outputs[:, start - first * _A_WORD : stop - first * _A_WORD].T)


def awq_tensors(
    entries: Mapping[str, TensorEntry], config: Mapping[str, Any]
) -> Iterator[tuple[AwqTensor, list[TensorEntry]]]:
    """Every quantized layer, with the tensors that it is made of.

    Raises:
        UnsupportedModelError: another layout, or other bits than 4.
        CheckpointError: a tensor is missing, or has another shape than the others make it.
    """
    version, bits = str(config.get("version", "gemm")).lower(), config.get("bits", _BITS)
    if version != "gemm" or bits != _BITS:
        raise UnsupportedModelError(
            f"the checkpoint is quantized by AWQ with {bits!r} bits in the layout {version!r}: 4 bits in 'gemm' are "
            "supported; export the bf16 checkpoint that it was made from"
        )
    for stem, parts in modules(entries, PARTS):
        yield _tensor(stem, parts), [*parts.values()]


def _tensor(stem: str, parts: dict[str, TensorEntry]) -> AwqTensor:
    required(stem, parts, PARTS)
    (k, words), (groups, n), zeros = (parts[part].shape for part in ("qweight", "scales", "qzeros"))
    if words * _A_WORD != n or not groups or k % groups:
        raise contradicting(parts["scales"], (groups, words * _A_WORD))
    if zeros != (groups, words):
        raise contradicting(parts["qzeros"], (groups, words))
    form = f"AWQ of {_BITS} bits in groups of {k // groups}"
    plain = (f"{stem}.weight", form, (n, k), *parts["qweight"].place)
    return AwqTensor(*plain, parts=parts, bits=_BITS, group_size=k // groups)

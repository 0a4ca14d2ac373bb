"""compressed-tensors checkpoints (llm-compressor's): integers, packed or a byte each, and FP8.

Of a linear layer of N outputs and K inputs, with a scale a row or a group of columns (compressed-tensors'
`compressors/pack_quantized`, `compressors/naive_quantized`):

- `weight_packed` int32 (N, K·b/32), `weight_shape` int64 (2): codes along the inputs, 2**(b-1) more than the integers
- or `weight` int8 (N, K): the integers themselves
- `weight_scale` (N, groups); `weight_zero_point` int8 (N, groups), or packed along the outputs, int32 (N·b/32, groups)
- `weight_g_idx` int32 (K): the group of each input, where columns are in act-order
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.quantized.fp8 import fp8_tensors
from thinkport.export.checkpoint.quantized.tensor import (
    WORD_BITS,
    Codes,
    IntegerTensor,
    QuantizedTensor,
    act_order,
    contradicting,
    modules,
    required,
    unpack_first,
    unpack_last,
)
from thinkport.export.checkpoint.safetensors_file import TensorEntry, as_floats, read_raw
from thinkport.export.errors import UnsupportedModelError
from thinkport.export.quantize.integers import Integers
from thinkport.export.quantize.recipes import BITS

FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "mixed-precision")
_BESIDE = ("weight_scale", "weight_zero_point", "weight_g_idx", "weight_shape")
_ACTIVATIONS = (".input_scale", ".input_zero_point", ".k_scale", ".v_scale")  # what a runtime may round besides weights


@dataclass(frozen=True)
class CompressedTensor(IntegerTensor):
    """One linear layer."""

    def integers(self, start: int, stop: int) -> Integers:
        """See `TensorEntry`."""
        scale = self.parts["weight_scale"]
        return Integers(
            codes=self._codes(start, stop),
            scales=as_floats(scale, read_raw(scale, start, stop)),
            points=self.points(start, stop),
            bits=self.bits,
        )

    def _codes(self, start: int, stop: int) -> Codes:
        if "weight_packed" in self.parts:
            return unpack_last(read_raw(self.parts["weight_packed"], start, stop), self.bits)
        return _unsigned(read_raw(self.parts["weight"], start, stop), self.bits)

    def points(self, start: int, stop: int) -> Codes | None:
        """See `IntegerTensor`."""
        points = self.parts.get("weight_zero_point")
        if points is None:
            return None
        if points.dtype != "I32":
            return _unsigned(read_raw(points, start, stop), self.bits)
        a_word = WORD_BITS // self.bits
        first = start // a_word
        found = unpack_first(read_raw(points, first, -(-stop // a_word)), self.bits)
        return np.ascontiguousarray(found[:, start - first * a_word : stop - first * a_word].T)


def compressed_tensors(
    entries: Mapping[str, TensorEntry], config: Mapping[str, Any]
) -> Iterator[tuple[QuantizedTensor, list[TensorEntry]]]:
    """Every quantized layer, with the tensors that it is made of.

    Raises:
        UnsupportedModelError: another format, other bits than 4 and 8, rotated or sparse weights.
        CheckpointError: a tensor is missing, or has another shape than the others make it.
    """
    _check(config)
    ignored = [entry for name, entry in entries.items() if name.endswith(_ACTIVATIONS)]
    for leading in ("weight_packed", "weight"):
        for stem, parts in modules(entries, (leading, *_BESIDE)):
            if parts[leading].dtype in ("I32", "I8"):
                yield _tensor(stem, parts, leading), [*parts.values(), *ignored]
    for tensor, used in fp8_tensors(entries, config):
        yield tensor, [*used, *ignored]


def _check(config: Mapping[str, Any]) -> None:
    kind = config.get("format", FORMATS[0])
    sparse = (config.get("sparsity_config") or {}).get("format", "dense")
    rotated = (config.get("transform_config") or {}).get("config_groups")
    problems = {
        f"in the format {kind!r}": kind not in FORMATS,
        f"with sparse weights ({sparse})": sparse != "dense",
        "with rotated weights (transform_config)": bool(rotated),
    }
    for problem, found in problems.items():
        if found:
            raise UnsupportedModelError(
                f"the checkpoint is quantized by compressed-tensors {problem}; {', '.join(FORMATS)} of dense weights "
                "can be read: export the bf16 checkpoint that it was made from"
            )


def _tensor(stem: str, parts: dict[str, TensorEntry], leading: str) -> CompressedTensor:
    required(stem, parts, (leading, "weight_scale"))
    codes, scale = parts[leading], parts["weight_scale"]
    n, k = codes.shape
    bits = 8
    if leading == "weight_packed":
        k = int(read_raw(parts["weight_shape"], 0, 2)[1]) if "weight_shape" in parts else 0
        bits = codes.shape[1] * WORD_BITS // max(k, 1)
        if bits not in BITS:
            raise UnsupportedModelError(
                f"{stem} is packed in {bits} bits by compressed-tensors; 4 and 8 can be read: export the bf16 "
                "checkpoint that it was made from"
            )
        if codes.shape[1] * WORD_BITS != k * bits:
            raise contradicting(codes, (n, k * bits // WORD_BITS))
    groups = scale.shape[1]
    if scale.shape[0] != n or not groups or k % groups:
        raise contradicting(scale, (n, groups))
    _check_points(parts.get("weight_zero_point"), n, groups, bits)
    size = k // groups
    form = f"compressed-tensors of {bits} bits" + (f" in groups of {size}" if groups > 1 else "")
    plain, order = (f"{stem}.weight", form, (n, k), *codes.place), act_order(parts.get("weight_g_idx"), k, size)
    return CompressedTensor(*plain, parts=parts, bits=bits, group_size=size, order=order)


def _check_points(points: TensorEntry | None, n: int, groups: int, bits: int) -> None:
    if points is not None:
        rows = -(-n * bits // WORD_BITS) if points.dtype == "I32" else n
        if points.shape != (rows, groups):
            raise contradicting(points, (rows, groups))


def _unsigned(integers: NDArray[Any], bits: int) -> Codes:
    codes: Codes = (integers.astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)
    return codes

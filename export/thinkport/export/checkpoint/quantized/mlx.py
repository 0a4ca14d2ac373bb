"""MLX checkpoints (mlx-lm's `convert -q`): integers with a scale and an offset a group.

Of a matrix of N rows and K columns in groups of g: `weight` uint32 (N, K·b/32), codes along the columns; `scales` and
`biases` (N, K/g). A weight is code * scale + bias (MLX's `quantize`): the offset is no integer, so MatMulNBits can't
hold it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.quantized.tensor import (
    WORD_BITS,
    QuantizedTensor,
    contradicting,
    modules,
    required,
    unpack_last,
)
from thinkport.export.checkpoint.safetensors_file import TensorEntry, as_floats, read_raw
from thinkport.export.errors import UnsupportedModelError

_PARTS = ("weight", "scales", "biases")
_BITS = (2, 4, 8)


@dataclass(frozen=True)
class MlxTensor(QuantizedTensor):
    """One matrix."""

    @property
    def obstacle(self) -> str | None:
        """See `TensorEntry`."""
        return "MLX's groups have an offset that is no integer"

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `TensorEntry`."""
        scales, biases = (as_floats(self.parts[part], read_raw(self.parts[part], start, stop)) for part in _PARTS[1:])
        codes = unpack_last(read_raw(self.parts["weight"], start, stop), self.bits)
        values = codes.reshape(*scales.shape, -1).astype(np.float32)
        values *= scales[:, :, None]
        values += biases[:, :, None]
        return values.reshape(len(codes), -1)


def mlx_tensors(
    entries: Mapping[str, TensorEntry], config: Mapping[str, Any]
) -> Iterator[tuple[MlxTensor, list[TensorEntry]]]:
    """Every quantized matrix, with the tensors that it is made of.

    Raises:
        UnsupportedModelError: other bits than 2, 4 and 8, or numbers that are no integers (mxfp4, nvfp4).
        CheckpointError: a tensor is missing, or has another shape than the others make it.
    """
    for stem, parts in modules(entries, _PARTS):
        if parts["weight"].dtype == "U32":
            own = config.get(stem)
            yield _tensor(stem, parts, {**config, **(own if isinstance(own, Mapping) else {})}), [*parts.values()]


def _tensor(stem: str, parts: dict[str, TensorEntry], config: Mapping[str, Any]) -> MlxTensor:
    bits, group, mode = config.get("bits"), config.get("group_size"), config.get("mode", "affine")
    if bits not in _BITS or mode != "affine" or not isinstance(group, int):
        raise UnsupportedModelError(
            f"{stem} is quantized by MLX with {bits!r} bits in mode {mode!r}: {', '.join(map(str, _BITS))} bits in "
            "mode 'affine' can be read; export the bf16 checkpoint that it was made from"
        )
    required(stem, parts, _PARTS)
    weight = parts["weight"]
    n, k = weight.shape[0], weight.shape[1] * WORD_BITS // bits
    for part in _PARTS[1:]:
        if parts[part].shape != (n, k // group):
            raise contradicting(parts[part], (n, k // group))
    form = f"MLX of {bits} bits in groups of {group}"
    return MlxTensor(weight.name, form, (n, k), *weight.place, parts=parts, bits=bits)

"""FP8 checkpoints: float8_e4m3fn weights, and a scale for a block, a row or a whole matrix.

Of a linear layer of N outputs and K inputs (DeepSeek-V3's and Qwen3's FP8 checkpoints; transformers'
`integrations/finegrained_fp8.py`): `weight` (N, K), and `weight_scale_inv` (N / 128, K / 128), by which each block is
multiplied, in spite of the name. compressed-tensors calls it `weight_scale`, (N, 1) or one number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.quantized.tensor import QuantizedTensor, contradicting, modules
from thinkport.export.checkpoint.safetensors_file import TensorEntry, as_floats, read_raw
from thinkport.export.errors import CheckpointError

_SCALES = ("weight_scale_inv", "weight_scale")
_USUAL = (128, 128)
_VALUES = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)


@dataclass(frozen=True)
class Fp8Tensor(QuantizedTensor):
    """One matrix; a scale belongs to `block` rows and columns."""

    block: tuple[int, int]

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `TensorEntry`."""
        high, wide = self.block
        scale = self.parts["scale"]
        columns = scale.shape[1] if len(scale.shape) > 1 else 1
        vector = replace(scale, shape=(prod(scale.shape),))  # whatever its shape, none included
        flat = as_floats(scale, read_raw(vector, 0, vector.shape[0])).reshape(-1, columns)
        scales = np.repeat(flat[np.arange(start, stop) // high], wide, axis=1)[:, : self.shape[1]]
        return np.asarray(_VALUES[read_raw(self.parts["weight"], start, stop)] * scales)


def fp8_tensors(
    entries: Mapping[str, TensorEntry], config: Mapping[str, Any]
) -> Iterator[tuple[Fp8Tensor, list[TensorEntry]]]:
    """Every FP8 matrix, with the tensors that it is made of.

    Raises:
        CheckpointError: one has no scale, or one of another shape than its blocks make it.
    """
    asked = config.get("weight_block_size")
    usual = (int(asked[0]), int(asked[1])) if isinstance(asked, list) and len(asked) == 2 else _USUAL
    for stem, parts in modules(entries, ("weight", *_SCALES, "input_scale")):
        if parts["weight"].dtype == "F8_E4M3":
            yield _tensor(stem, parts, usual), [*parts.values()]


def _tensor(stem: str, parts: dict[str, TensorEntry], usual: tuple[int, int]) -> Fp8Tensor:
    weight = parts["weight"]
    scale = next((parts[name] for name in _SCALES if name in parts), None)
    if scale is None:
        raise CheckpointError(f"{stem}.weight is FP8 and has no scale beside it: fetch the checkpoint again")
    rows, columns = scale.shape if len(scale.shape) == 2 else (prod(scale.shape), 1)
    block = tuple(
        size if found == 1 else 1 if found == size else want
        for size, found, want in zip(weight.shape, (rows, columns), usual, strict=True)
    )
    expected = tuple(-(-size // step) for size, step in zip(weight.shape, block, strict=True))
    if expected != (rows, columns) or scale.dtype not in ("BF16", "F16", "F32"):
        raise contradicting(scale, expected)
    form = f"FP8 in blocks of {usual[0]}x{usual[1]}" if _SCALES[0] in parts else "FP8"
    plain, read = (weight.name, form, weight.shape, *weight.place), {"weight": weight, "scale": scale}
    return Fp8Tensor(*plain, parts=read, bits=8, block=(block[0], block[1]))

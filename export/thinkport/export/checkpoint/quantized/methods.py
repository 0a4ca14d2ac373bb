"""Which ways to store quantized weights can be read: one line each, and those that can't, by name.

Knows `quantization_config` of config.json; what a format's tensors look like is its own file's.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from thinkport.export.checkpoint.quantized.compressed import compressed_tensors
from thinkport.export.checkpoint.quantized.fp8 import fp8_tensors
from thinkport.export.checkpoint.quantized.gptq_awq import awq_tensors, gptq_tensors
from thinkport.export.checkpoint.quantized.mlx import mlx_tensors
from thinkport.export.checkpoint.quantized.tensor import QuantizedTensor
from thinkport.export.checkpoint.safetensors_file import TensorEntry
from thinkport.export.errors import CheckpointError, UnsupportedModelError

Reader = Callable[
    [Mapping[str, TensorEntry], Mapping[str, Any]], Iterator[tuple[QuantizedTensor, Sequence[TensorEntry]]]
]
"""Finds the quantized tensors among the entries of a checkpoint, each with the entries that it is made of."""

_MLX = "mlx"  # whose config.json names no method
READERS: Mapping[str, Reader] = {
    "gptq": gptq_tensors,
    "awq": awq_tensors,
    "compressed-tensors": compressed_tensors,
    "fp8": fp8_tensors,
    _MLX: mlx_tensors,
}
_DEQUANTIZE = "load it with transformers where {} runs, and export the folder that {} and save_pretrained make"
REFUSED: Mapping[str, str] = {
    "bitsandbytes": "its 4-bit numbers are no integers: " + _DEQUANTIZE.format("bitsandbytes", "model.dequantize()"),
    "mxfp4": "its 4-bit numbers are no integers: " + _DEQUANTIZE.format("it", "Mxfp4Config(dequantize=True)"),
    "modelopt": "NVFP4 and ModelOpt's FP8 are not read: export the bf16 checkpoint that it was made from",
}


_KEYS = ("quantization_config", "quantization")  # where config.json says how weights are stored


# Parts of a quantized weight, as the methods here and those that are refused name them.
_PARTS = re.compile(
    r"(\.(qweight|qzeros|scales?|biases|zeros|g_idx|weight_scale\w*|weight_packed|weight_zero_point|input_scale|SCB|absmax"
    r"|quant_map)|\.quant_state\..+|_blocks|_scales)$"
)
_LEFT_OVER = "none of the weights is quantized: remove quantization_config from config.json, or fetch both again"


def check_method(config: Mapping[str, Any], names: Sequence[str] | None = None) -> None:
    """Refuse a checkpoint whose weights can't be read, by what its config.json says.

    `names` are those of its tensors, None where they are not known yet.

    Raises:
        UnsupportedModelError: another method than those of `READERS`, with what to do.
        CheckpointError: the same, of weights that are plain: merged fine-tunes keep the entry of what they came from.
    """
    described = described_by(config)
    if described is None:
        return
    method = str(described.get("quant_method") or "an unnamed method")
    if method not in READERS and names and not any(map(_PARTS.search, names)):
        raise CheckpointError(
            f"config.json says that the weights are quantized by {method}, which can't be read, and {_LEFT_OVER}"
        )
    if method not in READERS:
        others = f"{', '.join(READERS)} can be read; export the bf16 checkpoint that it was made from"
        raise UnsupportedModelError(
            f"the checkpoint is quantized by {method}, which can't be read: {REFUSED.get(method, others)}"
        )


def with_decoded(entries: Mapping[str, TensorEntry], config: Mapping[str, Any]) -> dict[str, TensorEntry]:
    """The entries of a checkpoint, quantized tensors by the name of the weights that they stand for.

    Raises:
        UnsupportedModelError: a form of the method that can't be read.
        CheckpointError: config.json and tensors contradict one another.
    """
    described = described_by(config)
    if described is None:
        return dict(entries)
    try:
        found = list(READERS[str(described["quant_method"])](entries, described))
    except UnsupportedModelError as error:
        plain = all(entry.is_float for entry in entries.values()) and not any(map(_PARTS.search, entries))
        if not (entries and plain):
            raise
        raise CheckpointError(f"{error}; but {_LEFT_OVER}") from error
    if not found:
        raise CheckpointError(
            f"config.json says that weights are quantized by {described['quant_method']}, and none are: remove "
            "quantization_config from it, or fetch both again"
        )
    used = {part.name for _, parts in found for part in parts}
    rest = {name: entry for name, entry in entries.items() if name not in used}
    return rest | {tensor.name: tensor for tensor, _ in found}


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """config.json of the same model with plain weights."""
    return {key: value for key, value in config.items() if key not in _KEYS}


def described_by(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How config.json says that weights are quantized; None where they aren't."""
    found = config.get("quantization_config", config.get("quantization"))
    if found is not None and not isinstance(found, Mapping):
        raise CheckpointError(f"config.json: quantization_config is {found!r}; expected an object")
    if found is not None and "quant_method" not in found and "quantization" in config:
        return {**found, "quant_method": _MLX}
    return found

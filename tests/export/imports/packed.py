"""Checkpoints whose layers are packed by the library that defines the format, and what that library reads from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tests.export.imports.libraries import autoawq, gptqmodel, module
from tests.export.trace.checkpoints import LLAMA, narrow_checkpoint

Parts = dict[str, torch.Tensor]
Pack = Callable[[torch.Tensor], tuple[Parts, torch.Tensor]]
"""A float32 matrix (n, k) to a module's tensors by their last names, and the float32 weights that they stand for."""


@dataclass(frozen=True)
class PackedCheckpoint:
    """A checkpoint with packed layers, and beside it a plain one of the weights that the library makes of them."""

    folder: Path
    plain: Path
    weights: Mapping[str, torch.Tensor]


def packed_checkpoint(
    folder: Path, pack: Pack, quantization: dict[str, Any], *, llama: bool = False, **config: Any
) -> PackedCheckpoint:
    """Pack every projection of the layers of a narrow checkpoint."""
    plain = narrow_checkpoint(folder / "plain", **(LLAMA if llama else {}), **config)
    stored, weights = load_file(plain / "model.safetensors"), {}
    tensors: Parts = {}
    for name, weight in stored.items():
        if name.endswith("_proj.weight"):
            parts, weights[name] = pack(weight)
            tensors |= {name.removesuffix("weight") + part: value.contiguous() for part, value in parts.items()}
        else:
            tensors[name] = weight
    whole = folder / "packed"
    whole.mkdir()
    for file in plain.iterdir():
        (whole / file.name).write_bytes(file.read_bytes())
    save_file(tensors, whole / "model.safetensors", metadata={"format": "pt"})
    save_file(stored | weights, plain / "model.safetensors", metadata={"format": "pt"})
    described = json.loads((whole / "config.json").read_text(encoding="utf-8"))
    described["quantization_config"] = quantization
    (whole / "config.json").write_text(json.dumps(described), encoding="utf-8")
    return PackedCheckpoint(whole, plain, weights)


def grid(n: int, groups: int, bits: int, *, symmetric: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales as float16 has them, and zero points, both float32 (n, groups)."""
    seed = np.random.default_rng()
    scales = torch.from_numpy(seed.uniform(0.01, 0.03, (n, groups)).astype(np.float16).astype(np.float32))
    points = seed.integers(1, 2**bits, (n, groups)) if not symmetric else np.full((n, groups), 2 ** (bits - 1))
    return scales, torch.from_numpy(points.astype(np.float32))


def linear(weight: torch.Tensor) -> torch.nn.Linear:
    """A layer of that weight."""
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    return layer


def by_gptqmodel(*, bits: int = 4, group: int = 32, symmetric: bool = True, second: bool = False) -> Pack:
    """GPTQModel's own packing; `second` leaves out what makes the first format of the second."""

    def pack(weight: torch.Tensor) -> tuple[Parts, torch.Tensor]:
        qlinear = gptqmodel("gptqmodel.nn_modules.qlinear.torch")
        base = gptqmodel("gptqmodel.nn_modules.qlinear").PackableQuantLinear
        n, k = weight.shape
        size = group if group > 0 else k
        layer = qlinear.TorchLinear(bits, size, symmetric, False, k, n)
        scales, points = grid(n, k // size, bits, symmetric=symmetric)
        layer.pack(linear(weight), scales, points, torch.arange(k, dtype=torch.int32) // size)
        layer.post_init()
        layer.scales = layer.scales.float()
        meant = base.dequantize_weight(layer).T.contiguous()
        ones = 0 if second else {4: 0x11111111, 8: 0x01010101}[bits]
        found = {"qweight": layer.qweight, "qzeros": layer.qzeros - ones, "scales": layer.scales.half()}
        return found | {"g_idx": layer.g_idx.int()}, meant

    return pack


def by_autoawq(*, group: int = 32, symmetric: bool = False) -> Pack:
    """AutoAWQ's own packing and reading."""

    def pack(weight: torch.Tensor) -> tuple[Parts, torch.Tensor]:
        gemm, packing = (autoawq(f"awq.{name}") for name in ("modules.linear.gemm", "utils.packing_utils"))
        n, k = weight.shape
        scales, points = (part.T.contiguous() for part in grid(n, k // group, 4, symmetric=symmetric))
        layer = gemm.WQLinear_GEMM.from_linear(linear(weight), 4, group, scales=scales, zeros=points)
        meant = packing.dequantize_gemm(layer.qweight, layer.qzeros, layer.scales.float(), 4, group).T.contiguous()
        return {"qweight": layer.qweight, "qzeros": layer.qzeros, "scales": layer.scales}, meant

    return pack


def by_compressed_tensors(*, bits: int = 4, group: int | None = 32, symmetric: bool = True) -> Pack:
    """compressed-tensors' own packing and reading, scales in bfloat16 as it writes them; no group is a scale a row."""

    def pack(weight: torch.Tensor) -> tuple[Parts, torch.Tensor]:
        compressors, quantization = (module(f"compressed_tensors.{name}") for name in ("compressors", "quantization"))
        strategy = "group" if group else "channel"
        arguments = quantization.QuantizationArgs(
            num_bits=bits, symmetric=symmetric, strategy=strategy, group_size=group
        )
        scheme = quantization.QuantizationScheme(targets=["Linear"], weights=arguments)
        n, k = weight.shape
        scales, points = grid(n, k // group if group else 1, bits, symmetric=symmetric)
        state = {"weight": weight, "weight_scale": scales.bfloat16()}
        state["weight_zero_point"] = (points - 2 ** (bits - 1)).to(torch.int8)
        packed = compressors.PackedQuantizationCompressor.compress(state, scheme)
        read = compressors.PackedQuantizationCompressor.decompress(
            packed | {"weight_scale": packed["weight_scale"].float()}, scheme
        )
        return packed, read["weight"]

    return pack


COMPRESSED = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
FORMATS: dict[str, tuple[Pack, dict[str, Any]]] = {
    "GPTQ": (by_gptqmodel(), {"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": "gptq"}),
    "GPTQ with zero points": (by_gptqmodel(symmetric=False), {"quant_method": "gptq", "bits": 4}),
    "GPTQ of the second format": (
        by_gptqmodel(symmetric=False, second=True),
        {"quant_method": "gptq", "bits": 4, "checkpoint_format": "gptq_v2"},
    ),
    "GPTQ of 8 bits, a scale a row": (by_gptqmodel(bits=8, group=-1), {"quant_method": "gptq", "bits": 8}),
    "AWQ": (by_autoawq(), {"quant_method": "awq", "bits": 4, "version": "gemm"}),
    "AWQ without zero points": (by_autoawq(symmetric=True), {"quant_method": "awq", "bits": 4, "version": "gemm"}),
    "compressed-tensors": (by_compressed_tensors(), COMPRESSED),
    "compressed-tensors with zero points": (by_compressed_tensors(symmetric=False), COMPRESSED),
    "compressed-tensors of 8 bits, a scale a row": (by_compressed_tensors(bits=8, group=None), COMPRESSED),
    "compressed-tensors of 8 bits with zero points": (by_compressed_tensors(bits=8, symmetric=False), COMPRESSED),
}

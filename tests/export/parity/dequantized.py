"""The artifact's own int4 weights put back into transformers' model, so that only the arithmetic is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx.external_data_helper import load_external_data_for_tensor
from onnx.numpy_helper import to_array
from tests.export.parity.reference import Reference

from thinkport.export.quantize.packing import dequantize

if TYPE_CHECKING:
    from pathlib import Path

PACKED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


class Dequantized(Reference):
    """A reference whose weights are the artifact's."""

    def __init__(self, checkpoint: Path, artifact: Path) -> None:
        super().__init__(checkpoint)
        weights = self.model.state_dict()
        seen = set()
        for name, matrix in _matrices(artifact):
            stem, _, module = name.rpartition(".")
            start = 0
            for part in PACKED.get(module, (module,)):
                key = f"{stem}.{part}.weight" if stem else f"{part}.weight"
                rows = weights[key].shape[0]
                weights[key].copy_(torch.from_numpy(matrix[start : start + rows].copy()))
                start += rows
                seen.add(key)
            assert start == len(matrix)
        left = {key for key, value in weights.items() if value.ndim > 1} - seen
        assert left <= {"lm_head.weight", "model.embed_tokens.weight"}, left


def _matrices(artifact: Path):
    """(module, float32 weight) of every MatMulNBits of the graph."""
    graph = onnx.load(artifact / "cpu.onnx", load_external_data=False).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "MatMulNBits":
            continue
        codes, scales, *points = (_load(tensors[name], artifact) for name in node.input[1:4])
        bits = next(a.i for a in node.attribute if a.name == "bits")
        matrix = dequantize(codes, scales, bits=bits, points=points[0] if points else None)
        yield node.input[1].removesuffix(".qweight"), matrix


def _load(tensor: onnx.TensorProto, artifact: Path) -> np.ndarray:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        load_external_data_for_tensor(tensor, str(artifact))
    return to_array(tensor)


class Int8Activations:
    """Rounds every linear layer's input to int8 by groups, as accuracy level 4 does, and nothing else (numpy)."""

    def __init__(self, reference: Reference, group_size: int) -> None:
        self.reference = reference
        linears = [module for module in reference.model.modules() if isinstance(module, torch.nn.Linear)]
        self.handles = [module.register_forward_pre_hook(self._round) for module in linears]
        self.group_size = group_size

    def _round(self, _module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        x = inputs[0].numpy()
        groups = x.reshape(*x.shape[:-1], -1, self.group_size)
        scale = np.abs(groups).max(-1, keepdims=True) / 127
        rounded = np.rint(groups / np.where(scale == 0, 1, scale)) * scale
        return (torch.from_numpy(rounded.reshape(x.shape).astype(np.float32)),)

    def __enter__(self) -> Reference:
        return self.reference

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

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
    """A reference whose weights are the artifact's; `centered` for the graph whose values lack a center."""

    def __init__(self, checkpoint: Path, artifact: Path, *, centered: bool = False) -> None:
        super().__init__(checkpoint)
        weights = self.model.state_dict()
        seen = set()
        for name, array in (*_experts(artifact), *_routers(artifact)):
            weights[name].copy_(torch.from_numpy(array))
            seen.add(name)
        for name, kind, array in _arrays(artifact):
            stem, _, module = name.rpartition(".")
            start = 0
            for part in PACKED.get(module, (module,)):
                key = f"{stem}.{part}.{kind}" if stem else f"{part}.{kind}"
                rows = weights[key].shape[0]
                weights[key].copy_(torch.from_numpy(array[start : start + rows].copy()))
                start += rows
                seen.add(key)
            assert start == len(array)
        for layer, shift, added in _centers(artifact) if centered else ():
            self._center(layer, shift, added)
        if (matrix := turning_matrix(artifact / "cpu.onnx")) is not None:
            self._turn(matrix)
        left = {key for key, value in weights.items() if value.ndim > 1 or key.endswith(".bias")} - seen
        assert left <= {"lm_head.weight"}, left  # tied

    def _turn(self, matrix: torch.Tensor) -> None:
        """What the weights of an artifact with turned hidden states go with: norms of 1, and tables as they were."""

        def turned(hidden: torch.Tensor) -> torch.Tensor:
            return (hidden.unflatten(-1, (-1, len(matrix))) @ matrix).flatten(-2)

        for layer in self.model.model.layers:
            for norm in (layer.input_layernorm, layer.post_attention_layernorm):
                norm.weight.data.fill_(1)
        self.model.model.embed_tokens.register_forward_hook(lambda _module, _inputs, output: turned(output))
        self.model.model.norm.register_forward_pre_hook(lambda _module, inputs: (turned(inputs[0]),))

    def _center(self, layer: int, shift: torch.Tensor, added: torch.Tensor) -> None:
        """What o_proj of the rounded weights lacks of a center, and what the graph adds for it."""
        attention = self.model.model.layers[layer].self_attn
        heads = shift[-attention.v_proj.out_features :].reshape(-1, attention.head_dim)
        lacking = heads.repeat_interleave(attention.num_key_value_groups, 0).reshape(-1)
        attention.o_proj.bias = torch.nn.Parameter(added + attention.o_proj.weight.detach() @ lacking)


def turning_matrix(path: Path) -> torch.Tensor | None:
    """The matrix that turns hidden states in a graph; None where they stay as they are."""
    graph = onnx.load(path, load_external_data=False).graph
    found = [tensor for tensor in graph.initializer if tensor.name == "turning_matrix"]
    return torch.from_numpy(_load(found[0], path.parent).astype(np.float32)) if found else None


def _centers(artifact: Path):
    """(layer, what is added to q, k and v, what is added behind o_proj) of a graph whose values have a center."""
    graph = onnx.load(artifact / "cpu.onnx", load_external_data=False).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for name in sorted(tensors):
        if name.endswith("v_center"):
            pair = (torch.from_numpy(_load(tensors[part], artifact).copy()) for part in (name, name[:-8] + "o_center"))
            yield int(name.split(".")[2]), *pair


def _arrays(artifact: Path):
    """(module, weight or bias, float32 values) of every MatMulNBits of the graph, and its table."""
    graph = onnx.load(artifact / "cpu.onnx", load_external_data=False).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in ("MatMulNBits", "GatherBlockQuantized"):
            continue
        lookup = node.op_type == "GatherBlockQuantized"
        codes, scales = (_load(tensors[node.input[at]], artifact) for at in ((0, 2) if lookup else (1, 2)))
        named = [name for name in node.input[3:4] if name]
        points = _load(tensors[named[0]], artifact) if named else None
        bits = next(a.i for a in node.attribute if a.name == "bits")
        module = node.input[not lookup].removesuffix(".table" if lookup else ".qweight")
        yield module, "weight", dequantize(codes, scales, bits=bits, points=points)
        if len(node.input) > 5 and not node.input[5].endswith("_center"):
            yield module, "bias", _load(tensors[node.input[5]], artifact)


def _experts(artifact: Path):
    """(name, values) of every mixture's matrices as transformers stacks them: all gates of an expert, then its ups."""
    graph = onnx.load(artifact / "cpu.onnx", load_external_data=False).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "QMoE":
            continue
        bits = next(a.i for a in node.attribute if a.name == "expert_weight_bits")
        for at in (2, 5):
            codes, scales = (_load(tensors[node.input[index]], artifact) for index in (at, at + 1))
            experts, rows, groups = scales.shape
            flat = codes.reshape(experts * rows, groups, -1), scales.reshape(experts * rows, groups)
            found = dequantize(*flat, bits=bits).reshape(experts, rows, -1)
            name = node.input[at].removesuffix(".qweight")
            yield name, np.concatenate([found[:, 0::2], found[:, 1::2]], axis=1) if "gate_up" in name else found


def _load(tensor: onnx.TensorProto, artifact: Path) -> np.ndarray:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        load_external_data_for_tensor(tensor, str(artifact))
    return to_array(tensor)


def _routers(artifact: Path):
    """(name, values) of every mixture's router, which is not rounded."""
    graph = onnx.load(artifact / "cpu.onnx", load_external_data=False).graph
    for tensor in graph.initializer:
        if tensor.name.endswith(".mlp.gate.weight"):
            yield tensor.name, _load(tensor, artifact).copy()


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

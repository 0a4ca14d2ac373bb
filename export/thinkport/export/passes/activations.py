"""The type that a graph computes in.

Cases of `Activations`, float32 → half precision for a target:
    1. every float32 value becomes a half: inputs, weights, constants, what is computed; a float32 KV cache too;
    2. the scales of an int8 KV cache stay float32, as the operator takes them;
    3. logits, or the hidden states in their place, are cast to float32 at the end: one type on every target.

Cases of `Widened`, half precision → float32, for the CPU, which has no bfloat16 kernels, or to round nothing:
    1. every weight in half precision is cast where it is read, so that the file of weights stays as it is;
    2. inputs, outputs and what is computed become float32; a Cast to half precision becomes one to float32;
    3. a graph without that type is left alone.

Cases of `FloatProducts`, int8 activations → float32:
    1. every operator that asks for an accuracy level gets level 0, which rounds no activations;
    2. a graph without one is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass
from thinkport.export.trace import names

_FLOAT = ir.DataType.FLOAT
_KV_SCALES = slice(12, 14)
_LEVEL = "accuracy_level"


@dataclass(kw_only=True)
class Activations(GraphPass):
    """Behind all that makes float32 values, for a fused graph, which has no Cast to float32 of its own.

    `dtype` is FLOAT16, or BFLOAT16 for a model whose activations leave float16's range.
    """

    name = "activations"
    outside = 1
    dtype: ir.DataType

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        attentions = [node for node in graph if node.op_type == "GroupQueryAttention"]
        kept = {value for node in attentions for value in node.inputs[_KV_SCALES]}
        computed = [value for node in graph for value in node.outputs]
        for value in (*graph.inputs, *graph.initializers.values(), *computed):
            if value.dtype == _FLOAT and value not in kept:
                self._narrow(value)
        return [self._widen_answer(graph)]

    def _narrow(self, value: ir.Value) -> None:
        value.type = ir.TensorType(self.dtype)
        if value.const_value is not None:
            value.const_value = ir.tensor(value.const_value.numpy().astype(self.dtype.numpy()), name=value.name)

    def _widen_answer(self, graph: ir.Graph) -> str:
        at = next(i for i, value in enumerate(graph.outputs) if value.name in names.ANSWERS)
        narrow = graph.outputs[at]
        cast = ir.node("Cast", [narrow], {"to": _FLOAT.value}, name="lm_head.Cast")
        wide = cast.outputs[0]
        wide.type, wide.shape = ir.TensorType(_FLOAT), narrow.shape
        narrow.name, wide.name = f"{narrow.name}_narrow", narrow.name
        graph.outputs[at] = wide
        graph.append(cast)
        return cast.name or ""


@dataclass(kw_only=True)
class Widened(GraphPass):
    """Once. Numbers are then rounded less than on the target: what is measured is the graph, not its arithmetic."""

    name = "widened"
    outside = 1
    dtype: ir.DataType = ir.DataType.BFLOAT16

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        weights = [value for value in graph.initializers.values() if value.dtype == self.dtype]
        for node in graph:
            if node.op_type == "Cast" and node.attributes["to"].as_int() == self.dtype.value:
                node.attributes["to"] = ir.AttrInt64("to", _FLOAT.value)
        computed = [value for node in graph for value in node.outputs]
        for value in (*graph.inputs, *computed):
            if value.dtype == self.dtype:
                value.type = ir.TensorType(_FLOAT)
        casts = [_cast(weight) for weight in weights]
        graph.insert_before(graph[0], casts)
        return ["weights.Cast"] if casts else []


class FloatProducts(GraphPass):
    """Once, for all products."""

    name = "float_products"
    outside = 1

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        rounding = [node for node in model.graph if rounds_activations(node)]
        for node in rounding:
            node.attributes[_LEVEL] = ir.AttrInt64(_LEVEL, 0)
        return ["products"] if rounding else []


def rounds_activations(node: ir.Node) -> bool:
    """Whether an operator may round its activations to int8, which accuracy level 4 of ONNX Runtime's products asks."""
    return _LEVEL in node.attributes and node.attributes[_LEVEL].as_int() > 0


def _cast(weight: ir.Value) -> ir.Node:
    cast = ir.node("Cast", [weight], {"to": _FLOAT.value}, name=f"{weight.name}.Cast")
    cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(_FLOAT), weight.shape
    for use in list(weight.uses()):
        if use.node is not cast:
            use.node.replace_input_with(use.idx, cast.outputs[0])
    return cast

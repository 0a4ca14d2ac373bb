"""SimplifiedLayerNormalization → the same in plain operators, computed in float32.

Cases:
    1. weight · (x / sqrt(mean(x²) + eps)) over the last axis, cast to float32 for the squares and back behind them;
    2. a norm fused with an addition is left alone: keep `SkipNorm` out of such a pipeline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, each_layer
from thinkport.export.trace.constant import integers

_LAST = [-1]


@dataclass(kw_only=True)
class PlainNorm(GraphPass):
    """Every norm of a graph, `norms` a layer, behind the pass that narrows activations.

    In float32: a half's square overflows from 256 on.

    For devices that compute the fused operator wrongly (issue 29739 of ONNX Runtime).
    """

    name: ClassVar[str] = "plain_norm"
    norms: int
    activations: ir.DataType

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, self.norms, outside=1)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        norms = [node for node in model.graph if node.op_type == "SimplifiedLayerNormalization"]
        return [self._spell_out(model.graph, node) for node in norms]

    def _spell_out(self, graph: ir.Graph, norm: ir.Node) -> str:
        x, weight = norm.inputs
        assert x is not None
        name = (norm.name or "").rsplit(".", 1)[0]
        new: list[ir.Node] = []

        def node(
            op_type: str, *inputs: ir.Value | None, dtype: ir.DataType = ir.DataType.FLOAT, **attributes: int
        ) -> ir.Value:
            made = ir.node(op_type, inputs, attributes, name=f"{name}.{op_type}_{len(new)}")
            made.outputs[0].type = ir.TensorType(dtype)
            new.append(made)
            return made.outputs[0]

        wide = node("Cast", x, to=ir.DataType.FLOAT.value)
        mean = node("ReduceMean", node("Mul", wide, wide), integers(graph, "norm_axis", _LAST), keepdims=1)
        root = node("Sqrt", node("Add", mean, _epsilon(graph, norm.attributes["epsilon"].as_float())))
        unit = node("Div", wide, root)
        narrow = node("Cast", unit, to=self.activations.value, dtype=self.activations)
        scaled = node("Mul", narrow, weight, dtype=self.activations)
        scaled.shape = x.shape
        ir.convenience.replace_nodes_and_values(graph, norm, [norm], new, norm.outputs, [scaled])
        return new[-1].name or ""


def _epsilon(graph: ir.Graph, epsilon: float) -> ir.Value:
    name = "norm_epsilon"
    if name not in graph.initializers:
        array = np.array(epsilon, np.float32)
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(array.shape)
        graph.register_initializer(value)
    return graph.initializers[name]

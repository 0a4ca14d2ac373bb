"""SimplifiedLayerNormalization → the same in plain operators, computed in float32.

Cases:
    1. weight · (x / sqrt(mean(x²) + eps)) over the last axis, cast to float32 for the squares and back behind them;
    2. a norm fused with an addition is left alone: keep `SkipNorm` out of such a pipeline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, each_layer
from thinkport.export.passes.nodes import Nodes
from thinkport.export.trace.constant import floats, integers

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
        new, float32 = Nodes((norm.name or "").rsplit(".", 1)[0]), ir.DataType.FLOAT
        wide = new.make("Cast", [x], {"to": float32.value}, dtype=float32)
        square = new.make("Mul", [wide, wide], dtype=float32)
        mean = new.make("ReduceMean", [square, integers(graph, "norm_axis", _LAST)], {"keepdims": 1}, dtype=float32)
        epsilon = floats(graph, "norm_epsilon", norm.attributes["epsilon"].as_float())
        root = new.make("Sqrt", [new.make("Add", [mean, epsilon], dtype=float32)], dtype=float32)
        unit = new.make("Div", [wide, root], dtype=float32)
        narrow = new.make("Cast", [unit], {"to": self.activations.value}, dtype=self.activations)
        scaled = new.make("Mul", [narrow, weight], dtype=self.activations)
        scaled.shape = x.shape
        ir.convenience.replace_nodes_and_values(graph, norm, [norm], new.nodes, norm.outputs, [scaled])
        return new.nodes[-1].name or ""

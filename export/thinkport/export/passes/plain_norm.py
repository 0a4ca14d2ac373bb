"""SimplifiedLayerNormalization → the same in plain operators, computed in float32.

Cases:
    1. weight · (x / sqrt(mean(x²) + eps)) over the last axis, cast to float32 for the squares and back behind them;
    2. a norm fused with an addition is left alone: keep `SkipNorm` out of such a pipeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, module_of, substitute
from thinkport.export.passes.nodes import Nodes
from thinkport.export.trace.initializers import floats, integers


@dataclass(kw_only=True)
class PlainNorm(GraphPass):
    """Every norm of a graph, behind the pass that narrows activations.

    In float32: a half's square overflows from 256 on.

    For devices that compute the fused operator wrongly (issue 29739 of ONNX Runtime).
    """

    name = "plain_norm"
    outside = 1
    per_layer: int
    activations: ir.DataType

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        norms = [node for node in model.graph if node.op_type == "SimplifiedLayerNormalization"]
        return [self._spell_out(model.graph, node) for node in norms]

    def _spell_out(self, graph: ir.Graph, norm: ir.Node) -> str:
        x, weight = norm.inputs
        new, float32 = Nodes(module_of(norm)), ir.DataType.FLOAT
        wide = new.make("Cast", [x], {"to": float32.value}, dtype=float32)
        square = new.make("Mul", [wide, wide], dtype=float32)
        mean = new.make("ReduceMean", [square, integers(graph, "norm_axis", [-1])], {"keepdims": 1}, dtype=float32)
        epsilon = floats(graph, "norm_epsilon", norm.attributes["epsilon"].as_float())
        root = new.make("Sqrt", [new.make("Add", [mean, epsilon], dtype=float32)], dtype=float32)
        unit = new.make("Div", [wide, root], dtype=float32)
        narrow = new.make("Cast", [unit], {"to": self.activations.value}, dtype=self.activations)
        new.make("Mul", [narrow, weight])
        return substitute(graph, norm, new.nodes)

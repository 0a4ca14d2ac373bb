"""Residual addition + RMS norm → SkipSimplifiedLayerNormalization.

Cases:
    1. SimplifiedLayerNormalization(a + b): one node gives the norm and the sum, which the next residual reads;
    2. a norm whose input is no sum of two computed tensors (the first layer's, the heads', a bias) is left alone.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, OUTSIDE, GraphPass, named_like
from thinkport.export.passes.walk import made_by, operand


class SkipNorm(GraphPass):
    """Every norm of the residual stream but the very first, whose input is the embedding.

    Operator: com.microsoft.SkipSimplifiedLayerNormalization (docs/ContribOperators.md); its fourth output is the sum.
    """

    name: ClassVar[str] = "skip_norm"

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return {OUTSIDE: 1, 0: 1} | dict.fromkeys(range(1, layers), 2)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        norms = [node for node in model.graph if node.op_type == "SimplifiedLayerNormalization"]
        return [_fuse(model.graph, norm, add) for norm in norms if (add := _residual(norm)) is not None]


def _residual(norm: ir.Node) -> ir.Node | None:
    """The sum of two computed tensors that is normalized."""
    add = made_by(operand(norm, 0), "Add")
    computed = add is not None and all(value is not None and not value.is_initializer() for value in add.inputs)
    return add if computed else None


def _fuse(graph: ir.Graph, norm: ir.Node, add: ir.Node) -> str:
    fused = ir.node(
        "SkipSimplifiedLayerNormalization",
        [*add.inputs, norm.inputs[1]],
        {"epsilon": norm.attributes["epsilon"].as_float()},
        domain=MICROSOFT,
        num_outputs=4,
        name=named_like(norm, "SkipSimplifiedLayerNormalization"),
    )
    normed, mean, inverse, total = fused.outputs
    mean.name = inverse.name = ""  # not asked for
    for new, old in ((normed, norm.outputs[0]), (total, add.outputs[0])):
        new.type, new.shape = old.type, old.shape
    # The sum may be read by nodes between the two, so the fused node stands where the addition stood.
    ir.convenience.replace_nodes_and_values(
        graph, add, [add, norm], [fused], [norm.outputs[0], add.outputs[0]], [normed, total]
    )
    return fused.name or ""

"""Residual addition + RMS norm → SkipSimplifiedLayerNormalization.

Cases:
    1. SimplifiedLayerNormalization(a + b): one node gives the norm and the sum, which the next residual reads;
    2. a norm whose input is no sum of two computed tensors (the first layer's, the heads', a bias) is left alone.
"""

import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, Fusion, named_like
from thinkport.export.passes.walk import expect, made_by, maker


class SkipNorm(Fusion[tuple[ir.Node, ir.Node]]):
    """Every norm of the residual stream but the very first, whose input is the embedding.

    Operator: com.microsoft.SkipSimplifiedLayerNormalization (docs/ContribOperators.md); its fourth output is the sum.
    """

    name = "skip_norm"
    per_layer = 2
    outside = 1
    starts_at = ("SimplifiedLayerNormalization",)

    def expected(self, layers: int) -> dict[int | None, int]:
        return super().expected(layers) | {0: 1}

    def starts(self, node: ir.Node) -> bool:
        """A norm, but not one of heads, which a Reshape has split."""
        return super().starts(node) and made_by(node.inputs[0], "Reshape") is None

    def match(self, node: ir.Node) -> tuple[ir.Node, ir.Node]:
        """The norm and the sum of two computed tensors that it reads."""
        add = maker(node.inputs[0], f"input of {node.name}", "Add")
        weights = [value.name for value in add.inputs if value is not None and value.is_initializer()]
        expect(not weights, add, f"adds {weights}, expected two computed tensors")
        return node, add

    def fuse(self, graph: ir.Graph, match: tuple[ir.Node, ir.Node]) -> str:
        norm, add = match
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
        # The sum may be read by nodes between the two, so the fused node stands where the addition stood.
        ir.convenience.replace_nodes_and_values(
            graph, add, [add, norm], [fused], [norm.outputs[0], add.outputs[0]], [normed, total]
        )
        return fused.name or ""

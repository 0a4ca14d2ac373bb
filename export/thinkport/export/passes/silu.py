"""x · sigmoid(x) → QuickGelu with alpha 1, which is SiLU.

Cases:
    1. a product of a tensor and its own sigmoid;
    2. a sigmoid of something else (a gate) is left alone.
"""

from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import Count, Fusion, become
from thinkport.export.passes.walk import silu_product


@dataclass(kw_only=True)
class Silu(Fusion[tuple[ir.Node, ir.Node]]):
    """Once in each layer that has one MLP.

    ONNX Runtime does the same at every load; done here, the graph is smaller and loads faster.

    Operator: com.microsoft.QuickGelu (docs/ContribOperators.md): x · sigmoid(alpha · x).
    """

    name = "silu"
    per_layer: Count = 1
    starts_at = ("Sigmoid",)

    def match(self, node: ir.Node) -> tuple[ir.Node, ir.Node]:
        """The sigmoid and the product."""
        return node, silu_product(node)

    def fuse(self, graph: ir.Graph, match: tuple[ir.Node, ir.Node]) -> str:
        sigmoid, product = match
        return become(graph, product, "QuickGelu", sigmoid.inputs[:1], {"alpha": 1.0})

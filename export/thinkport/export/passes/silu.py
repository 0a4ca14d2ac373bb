"""x · sigmoid(x) → QuickGelu with alpha 1, which is SiLU.

Cases:
    1. a product of a tensor and its own sigmoid;
    2. a sigmoid of something else (a gate) is left alone.
"""

from collections.abc import Mapping
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, Fusion, each_layer, named_like
from thinkport.export.passes.walk import silu_product


class Silu(Fusion[tuple[ir.Node, ir.Node]]):
    """Once a layer. ONNX Runtime does the same at every load; done here, the graph is smaller and loads faster.

    Operator: com.microsoft.QuickGelu (docs/ContribOperators.md): x · sigmoid(alpha · x).
    """

    name: ClassVar[str] = "silu"
    starts_at: ClassVar[tuple[str, ...]] = ("Sigmoid",)

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, 1)

    def match(self, node: ir.Node) -> tuple[ir.Node, ir.Node]:
        """The sigmoid and the product."""
        return node, silu_product(node)

    def fuse(self, graph: ir.Graph, match: tuple[ir.Node, ir.Node]) -> str:
        sigmoid, product = match
        name = named_like(product, "QuickGelu")
        silu = ir.node("QuickGelu", sigmoid.inputs[:1], {"alpha": 1.0}, domain=MICROSOFT, name=name)
        old, new = product.outputs[0], silu.outputs[0]
        new.type, new.shape = old.type, old.shape
        ir.convenience.replace_nodes_and_values(graph, product, [product], [silu], [old], [new])
        return silu.name or ""

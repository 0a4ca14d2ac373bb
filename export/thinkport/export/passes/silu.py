"""x · sigmoid(x) → QuickGelu with alpha 1, which is SiLU.

Cases:
    1. a product of a tensor and its own sigmoid;
    2. a sigmoid of something else (a gate) is left alone.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, GraphPass, each_layer, named_like
from thinkport.export.passes.walk import self_gated


class Silu(GraphPass):
    """Once a layer. ONNX Runtime does the same at every load; done here, the graph is smaller and loads faster.

    Operator: com.microsoft.QuickGelu (docs/ContribOperators.md): x · sigmoid(alpha · x).
    """

    name: ClassVar[str] = "silu"

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, 1)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        products = [node for node in model.graph if node.op_type == "Mul" and self_gated(node) is not None]
        return [_fuse(model.graph, node) for node in products]


def _fuse(graph: ir.Graph, product: ir.Node) -> str:
    x = self_gated(product)
    silu = ir.node("QuickGelu", [x], {"alpha": 1.0}, domain=MICROSOFT, name=named_like(product, "QuickGelu"))
    old, new = product.outputs[0], silu.outputs[0]
    new.type, new.shape = old.type, old.shape
    ir.convenience.replace_nodes_and_values(graph, product, [product], [silu], [old], [new])
    return silu.name or ""

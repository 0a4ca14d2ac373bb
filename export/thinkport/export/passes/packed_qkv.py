"""Query, key and value projections → one packed projection and a Split.

Cases:
    1. the three projections behind one GroupQueryAttention read the same tensor: packed, in the order q, k, v;
    2. projections of different tensors are left alone.
"""

from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.packing import PackedProjections
from thinkport.export.passes.walk import made_by, operand


class PackedQkv(PackedProjections):
    """Once a layer, behind the attention pass; q and k are split again because their heads are normed apart."""

    name: ClassVar[str] = "packed_qkv"
    module: ClassVar[str] = "qkv_proj"

    def projections(self, node: ir.Node) -> list[ir.Node]:
        if node.op_type != "GroupQueryAttention":
            return []
        found = [_projection(value) for value in node.inputs[:3]]
        return [node for node in found if node is not None] if None not in found else []


def _projection(value: ir.Value | None) -> ir.Node | None:
    """The projection behind the norm of the heads and the reshapes around it."""
    node = None if value is None else value.producer()
    while node is not None and node.op_type in ("Reshape", "SimplifiedLayerNormalization"):
        above = operand(node, 0)
        node = None if above is None else above.producer()
    return node if node is not None and made_by(node.outputs[0], "MatMul") is node else None

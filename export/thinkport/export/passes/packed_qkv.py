"""Query, key and value projections → one packed projection and a Split.

Cases:
    1. the three projections behind one GroupQueryAttention read the same tensor: packed, in the order q, k, v;
    2. projections of different tensors are left alone.
"""

from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.packing import PackedProjections
from thinkport.export.passes.walk import made_by, maker


class PackedQkv(PackedProjections):
    """Once a layer, behind the attention pass; q and k are split again because their heads are normed apart."""

    name: ClassVar[str] = "packed_qkv"
    starts_at: ClassVar[tuple[str, ...]] = ("GroupQueryAttention",)
    module: ClassVar[str] = "qkv_proj"

    def projections(self, node: ir.Node) -> tuple[ir.Node, list[ir.Node]]:
        return node, [_projection(value, part) for value, part in zip(node.inputs[:3], "qkv", strict=True)]


def _projection(value: ir.Value | None, part: str) -> ir.Node:
    """The projection behind the norm of the heads and the reshapes around it."""
    while node := made_by(value, "Reshape") or made_by(value, "SimplifiedLayerNormalization"):
        value = node.inputs[0]
    return maker(value, f"projection of {part}", "MatMul")

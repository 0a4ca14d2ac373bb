"""Gate and up projections → one packed projection and a Split.

Cases:
    1. silu(gate(x)) · up(x), the activation spelled out or one node: packed, in the order gate, up;
    2. a product of anything else is left alone.
"""

from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.packing import PackedProjections
from thinkport.export.passes.walk import made_by, operand, self_gated


class PackedGateUp(PackedProjections):
    """Once a layer."""

    name: ClassVar[str] = "packed_gate_up"
    module: ClassVar[str] = "gate_up_proj"

    def projections(self, node: ir.Node) -> list[ir.Node]:
        for index in range(2 if node.op_type == "Mul" else 0):
            gate = made_by(_activated(operand(node, index)), "MatMul")
            up = made_by(operand(node, 1 - index), "MatMul")
            if gate is not None and up is not None:
                return [gate, up]
        return []


def _activated(value: ir.Value | None) -> ir.Value | None:
    """x of silu(x), as one QuickGelu or as x · sigmoid(x)."""
    whole = made_by(value, "QuickGelu")
    return operand(whole, 0) if whole is not None else self_gated(made_by(value, "Mul"))

"""Gate and up projections → one packed projection and a Split.

Cases:
    1. silu(gate(x)) · up(x), the activation spelled out or one node: packed, in the order gate, up;
    2. a product of anything else is left alone.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, each_layer
from thinkport.export.passes.packing import can_pack, pack
from thinkport.export.passes.walk import made_by, operand


class PackedGateUp(GraphPass):
    """Once a layer."""

    name: ClassVar[str] = "packed_gate_up"

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, 1)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        fired = []
        for node in list(model.graph):
            pair = _gate_and_up(node)
            if len(pair) == 2 and can_pack(pair):
                name = (node.name or "").rsplit(".", 1)[0] + ".gate_up_proj"
                fired.append(pack(model.graph, pair, name))
        return fired


def _gate_and_up(product: ir.Node) -> list[ir.Node]:
    if product.op_type != "Mul":
        return []
    for index in range(2):
        gate = made_by(_activated(operand(product, index)), "MatMul")
        up = made_by(operand(product, 1 - index), "MatMul")
        if gate is not None and up is not None:
            return [gate, up]
    return []


def _activated(value: ir.Value | None) -> ir.Value | None:
    """x of silu(x), as one QuickGelu or as x · sigmoid(x)."""
    whole = made_by(value, "QuickGelu")
    if whole is not None:
        return operand(whole, 0)
    product = made_by(value, "Mul")
    for index in range(2):
        x = operand(product, index)
        if x is not None and operand(made_by(operand(product, 1 - index), "Sigmoid"), 0) is x:
            return x
    return None

"""Gate and up projections → one packed projection and a Split.

Cases:
    1. silu(gate(x)) · up(x), the activation spelled out or one node: packed, in the order gate, up;
    2. a product of anything else is left alone.
"""

from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.packing import PackedProjections
from thinkport.export.passes.walk import maker, other, reader, silu_product


class PackedGateUp(PackedProjections):
    """Once a layer."""

    name: ClassVar[str] = "packed_gate_up"
    starts_at: ClassVar[tuple[str, ...]] = ("Sigmoid", "QuickGelu")
    module: ClassVar[str] = "gate_up_proj"

    def projections(self, node: ir.Node) -> tuple[ir.Node, list[ir.Node]]:
        gate = maker(node.inputs[0], "gate projection", "MatMul")
        activated = node if node.op_type == "QuickGelu" else silu_product(node)
        product = reader(activated, "Mul")
        return product, [gate, maker(other(product, activated.outputs[0]), "up projection", "MatMul")]

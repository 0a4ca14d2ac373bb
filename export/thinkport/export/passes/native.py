"""Matrix products in thinkport's own operators, for CPUs whose machine has the package thinkport-kernels.

Cases: MatMulNBits → QuantizedMatMul of the domain `thinkport`, with the same inputs and attributes; all else is left
alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import OUTSIDE, Count, GraphPass, become

NATIVE = "thinkport"


@dataclass(kw_only=True)
class NativeMatrices(GraphPass):
    """Every quantized projection and lm_head.

    The operator rounds activations to int8 by the weights' groups, as MatMulNBits does at accuracy level 4
    (runtime_py/kernels/src/matrix_op.cpp). `head` says whether there is an lm_head.
    """

    name = "native_matrices"
    per_layer: Count
    head: bool = True

    def expected(self, layers: int) -> dict[int | None, int]:
        """See `GraphPass`."""
        return super().expected(layers) | ({OUTSIDE: 1} if self.head else {})

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        return [_native(model.graph, node) for node in list(model.graph) if node.op_type == "MatMulNBits"]


def _native(graph: ir.Graph, old: ir.Node) -> str:
    attributes = {name: old.attributes[name].as_int() for name in ("K", "N", "bits", "block_size")}
    return become(graph, old, "QuantizedMatMul", old.inputs, attributes, domain=NATIVE)

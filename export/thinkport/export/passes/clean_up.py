"""Removes what the other passes left without a reader.

Cases:
    1. nodes and initializers that nothing reads go;
    2. an initializer that is also a graph input stays, read or not: a caller may feed it.
"""

from collections.abc import Sequence

import onnx_ir as ir
from onnx_ir.passes import common

from thinkport.export.passes.contract import GraphPass


class CleanUp(GraphPass):
    """Always last; it has no count of its own."""

    name = "clean_up"

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        inputs = [(value, value.const_value) for value in model.graph.inputs]
        common.RemoveUnusedNodesPass()(model)
        for value, default in inputs:
            if default is not None and value.name not in model.graph.initializers:
                value.const_value = default
                model.graph.register_initializer(value)
        common.RemoveUnusedOpsetsPass()(model)
        return []

"""bfloat16 activations → float32: a finished graph as the CPU can run it, which has no kernels for that type.

Cases:
    1. every bfloat16 weight is cast where it is read, so that the file of weights stays as it is;
    2. inputs, outputs and what is computed become float32; a Cast to bfloat16 becomes one to float32;
    3. a graph without bfloat16 is left alone.
"""

from collections.abc import Sequence

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass

_FLOAT, _BFLOAT16 = ir.DataType.FLOAT, ir.DataType.BFLOAT16


class Widened(GraphPass):
    """Once. Numbers are then rounded less than on the target: what is measured is the graph, not its arithmetic."""

    name = "widened"
    outside = 1

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        weights = [value for value in graph.initializers.values() if value.dtype == _BFLOAT16]
        for node in graph:
            if node.op_type == "Cast" and node.attributes["to"].as_int() == _BFLOAT16.value:
                node.attributes["to"] = ir.AttrInt64("to", _FLOAT.value)
        computed = [value for node in graph for value in node.outputs]
        for value in (*graph.inputs, *computed):
            if value.dtype == _BFLOAT16:
                value.type = ir.TensorType(_FLOAT)
        casts = [_cast(weight) for weight in weights]
        graph.insert_before(graph[0], casts)
        return ["weights.Cast"] if casts else []


def _cast(weight: ir.Value) -> ir.Node:
    cast = ir.node("Cast", [weight], {"to": _FLOAT.value}, name=f"{weight.name}.Cast")
    cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(_FLOAT), weight.shape
    for use in list(weight.uses()):
        if use.node is not cast:
            use.node.replace_input_with(use.idx, cast.outputs[0])
    return cast

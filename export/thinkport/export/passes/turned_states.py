"""Turns hidden states where embeddings come in, and back where the final norm gives them out.

Cases:
    1. the embedding's lookup: what it gives is turned, some channels at a time, for all that read it;
    2. the norm in front of lm_head, weight · (x · 1/rms(x)): its unit form is turned, and then scaled by the weight. A
       rotation leaves the mean square as it is, so the norm may stand in front of it, where later passes fuse it and
       where the turned numbers are small;
    3. a graph with another end or without a lookup is left alone, and the count fails the export.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, Nodes
from thinkport.export.passes.walk import made_by, operand, other
from thinkport.export.quantize.rotation import hadamard
from thinkport.export.trace import names
from thinkport.export.trace.initializers import dims, floats, integers, source_of

_FLOAT = ir.DataType.FLOAT


@dataclass(kw_only=True)
class TurnedStates(GraphPass):
    """Twice, on a traced graph, whose weights are those of a checkpoint that is read turned.

    The matrix is its own inverse, so both places share it. A product of (…, channels / block, block) with it is a
    hundredth of one layer's products or less.
    """

    name = "turned_states"
    outside = 2
    block: int

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        lookup = next((node for node in graph if _is_lookup(node)), None)
        logits = next(value for value in graph.outputs if value.name == names.LOGITS)
        norm = made_by(operand(made_by(logits, "MatMul"), 0), "Mul")
        weights = [value for value in norm.inputs if value is not None and value.is_initializer()] if norm else []
        if lookup is None or norm is None or len(weights) != 1:
            return []
        return [self._turn(graph, lookup, "embed_tokens"), self._turn_back(graph, norm, weights[0])]

    def _turn(self, graph: ir.Graph, node: ir.Node, module: str) -> str:
        """Turn what a node gives for all that read it."""
        given, new = node.outputs[0], Nodes(module)
        apart = integers(graph, "turned_blocks", [0, 0, -1, self.block])
        together = integers(graph, "turned_states", [0, 0, -1])
        matrix = floats(graph, "turning_matrix", hadamard(self.block))
        blocks = new.make("Reshape", [given, apart], dtype=_FLOAT, name="Reshape_blocks")
        product = new.make("MatMul", [blocks, matrix], dtype=_FLOAT, name="MatMul_turn")
        turned = new.make("Reshape", [product, together], dtype=_FLOAT, name="Reshape_states")
        turned.shape = given.shape
        ir.convenience.replace_all_uses_with(given, turned)
        new.nodes[0].replace_input_with(0, given)
        graph.insert_after(node, new.nodes)
        return new.nodes[1].name or ""

    def _turn_back(self, graph: ir.Graph, norm: ir.Node, weight: ir.Value) -> str:
        ones = floats(graph, "unit_norm", np.ones(dims(weight), np.float32))
        unit = ir.node("Mul", [ones, other(norm, weight)], name="norm.Mul_unit")
        unit.outputs[0].type, unit.outputs[0].shape = norm.outputs[0].type, norm.outputs[0].shape
        norm.replace_input_with(1 - list(norm.inputs).index(weight), unit.outputs[0])
        graph.insert_before(norm, [unit])
        return self._turn(graph, unit, "norm")


def _is_lookup(node: ir.Node) -> bool:
    table = operand(node, 0)
    return node.op_type == "Gather" and table is not None and source_of(table) is not None

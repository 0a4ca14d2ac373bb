"""Norms of the Q and K heads inside GroupQueryAttention → in front of it: `QkNorm` undone, to run a graph on the CPU.

Cases:
    1. an attention with norm weights gets its query and key normed, head by head, in front; a packed QKV is split;
    2. an attention without them is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.packed_projections import split
from thinkport.export.passes.qk_norm import K_NORM, Q_NORM
from thinkport.export.passes.rms_norm import norm_node
from thinkport.export.trace.initializers import integers


@dataclass(kw_only=True)
class QkNormOutside(GraphPass):
    """Once a layer of a finished graph: the CPU's GroupQueryAttention refuses inputs 14 and 15."""

    name = "qk_norm_outside"
    per_layer = 1
    head_dim: int

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        attentions = [node for node in model.graph if node.op_type == "GroupQueryAttention" and _normalizes(node)]
        for node in attentions:
            self._move_out(model.graph, node)
        return [node.name or "" for node in attentions]

    def _move_out(self, graph: ir.Graph, attention: ir.Node) -> None:
        new: list[ir.Node] = []
        epsilon = attention.attributes.pop("qk_norm_epsilon").as_float()
        parts = self._parts(graph, attention, new)
        for index, (part, at) in enumerate((("q", Q_NORM), ("k", K_NORM))):
            norm = self._norm(graph, parts[index], attention.inputs[at], epsilon, f"{attention.name}_{part}")
            parts[index] = norm[-1].outputs[0]
            new += norm
        for index, value in enumerate(parts):
            attention.replace_input_with(index, value)
        attention.resize_inputs(Q_NORM)
        graph.insert_before(attention, new)

    def _parts(self, graph: ir.Graph, attention: ir.Node, new: list[ir.Node]) -> list[ir.Value | None]:
        if attention.inputs[1] is not None:
            return list(attention.inputs[:3])
        heads, kv_heads = (attention.attributes[name].as_int() for name in ("num_heads", "kv_num_heads"))
        rows = [count * self.head_dim for count in (heads, kv_heads, kv_heads)]
        new.append(split(graph, attention.inputs[0], rows, f"{attention.name}_Split"))
        return list(new[-1].outputs)

    def _norm(
        self, graph: ir.Graph, value: ir.Value | None, weight: ir.Value | None, epsilon: float, name: str
    ) -> list[ir.Node]:
        apart = integers(graph, "split_heads_shape", [0, 0, -1, self.head_dim])
        together = integers(graph, "merge_heads_shape", [0, 0, -1])
        heads = ir.node("Reshape", [value, apart], name=f"{name}_Reshape_split")
        norm = norm_node(heads.outputs[0], weight, epsilon, f"{name}_SimplifiedLayerNormalization")
        return [heads, norm, ir.node("Reshape", [norm.outputs[0], together], name=f"{name}_Reshape_merge")]


def _normalizes(attention: ir.Node) -> bool:
    return len(attention.inputs) > K_NORM and attention.inputs[Q_NORM] is not None

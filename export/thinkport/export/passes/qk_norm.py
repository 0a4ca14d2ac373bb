"""RMS norms of the Q and K heads: into GroupQueryAttention, and out of it again.

Cases of `QkNorm`, norms in front of GroupQueryAttention → inputs of it:
    1. q and k are normed head by head in front of an attention that rotates: the norms' weights become its inputs;
    2. q, k and v are one packed projection's parts: it is taken as it is, without the Split;
    3. an attention without such norms, or with rotary in between, is left alone, and the count fails the export.

Cases of `QkNormOutside`, which undoes it to run a graph on the CPU:
    1. an attention with norm weights gets its query and key normed, head by head, in front; a packed QKV is split;
    2. an attention without them is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import Fusion, GraphPass
from thinkport.export.passes.norms import norm_node
from thinkport.export.passes.packed_projections import split
from thinkport.export.passes.walk import above, made_by, maker
from thinkport.export.trace.initializers import integers

Q_NORM, K_NORM, INPUTS = 14, 15, 16
_NormedHeads = tuple[ir.Node, list[ir.Node], list[ir.Value]]


class QkNorm(Fusion[_NormedHeads]):
    """Once a layer, behind packing.

    Operator: com.microsoft.GroupQueryAttention, `q_norm_weight` and `k_norm_weight` (head_dim,) of the activations'
    type, applied before rotary; its query may be the packed QKV (docs/ContribOperators.md).
    """

    name = "qk_norm"
    per_layer = 1
    starts_at = ("GroupQueryAttention",)

    def match(self, node: ir.Node) -> _NormedHeads:
        """The attention, the norms of its heads, and what they norm before it is split into heads."""
        norms = [
            maker(above(value, "heads", "Reshape"), "heads", "SimplifiedLayerNormalization")
            for value in node.inputs[:2]
        ]
        return node, norms, [above(norm.inputs[0], "input of a head's norm", "Reshape") for norm in norms]

    def fuse(self, graph: ir.Graph, match: _NormedHeads) -> str:
        attention, norms, (query, key) = match
        attention.resize_inputs(INPUTS)
        for index, norm in zip((Q_NORM, K_NORM), norms, strict=True):
            attention.replace_input_with(index, norm.inputs[1])
        epsilon = norms[0].attributes["epsilon"].as_float()
        attention.attributes["qk_norm_epsilon"] = ir.AttrFloat32("qk_norm_epsilon", epsilon)
        parts: list[ir.Value | None] = [query, key, attention.inputs[2]]
        split = made_by(query, "Split")
        if split is not None and parts == list(split.outputs):
            parts = [split.inputs[0], None, None]
        for index, value in enumerate(parts):
            attention.replace_input_with(index, value)
        return attention.name or ""


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

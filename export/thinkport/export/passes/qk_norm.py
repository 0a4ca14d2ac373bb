"""RMS norms of the Q and K heads → into GroupQueryAttention.

Cases:
    1. q and k are normed head by head in front of an attention that rotates: the norms' weights become its inputs;
    2. q, k and v are one packed projection's parts: it is taken as it is, without the Split;
    3. an attention without such norms, or with rotary in between, is left alone, and the count fails the export.
"""

import onnx_ir as ir

from thinkport.export.passes.contract import Fusion
from thinkport.export.passes.walk import above, made_by, maker

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

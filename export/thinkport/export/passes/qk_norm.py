"""RMS norms of the Q and K heads → into GroupQueryAttention.

Cases:
    1. q and k are normed head by head in front of an attention that rotates: the norms' weights become its inputs;
    2. q, k and v are one packed projection's parts: it is taken as it is, without the Split;
    3. an attention without such norms, or with rotary in between, is left alone, and the count fails the export.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, each_layer
from thinkport.export.passes.walk import made_by, operand, through

Q_NORM, K_NORM, INPUTS = 14, 15, 16


class QkNorm(GraphPass):
    """Once a layer, behind packing.

    Operator: com.microsoft.GroupQueryAttention, `q_norm_weight` and `k_norm_weight` (head_dim,) of the activations'
    type, applied before rotary; its query may be the packed QKV (docs/ContribOperators.md).
    """

    name: ClassVar[str] = "qk_norm"

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, 1)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        attentions = [node for node in model.graph if node.op_type == "GroupQueryAttention"]
        return [node.name or "" for node in attentions if _take_norms(node)]


def _take_norms(attention: ir.Node) -> bool:
    norms = [made_by(through(value, "Reshape"), "SimplifiedLayerNormalization") for value in attention.inputs[:2]]
    heads = [through(operand(norm, 0), "Reshape") for norm in norms]
    query, key = heads
    if query is None or key is None or norms[0] is None or norms[1] is None:
        return False
    attention.resize_inputs(INPUTS)
    for index, norm in ((Q_NORM, norms[0]), (K_NORM, norms[1])):
        attention.replace_input_with(index, norm.inputs[1])
    epsilon = norms[0].attributes["epsilon"].as_float()
    attention.attributes["qk_norm_epsilon"] = ir.AttrFloat32("qk_norm_epsilon", epsilon)
    for index, value in enumerate(_packed(query, key, attention.inputs[2]) or (query, key, attention.inputs[2])):
        attention.replace_input_with(index, value)
    return True


def _packed(
    query: ir.Value, key: ir.Value, value: ir.Value | None
) -> tuple[ir.Value | None, ir.Value | None, ir.Value | None] | None:
    """The operator's first three inputs where the three are parts of one projection."""
    split = made_by(query, "Split")
    if split is None or (query, key, value) != tuple(split.outputs):
        return None
    return split.inputs[0], None, None

"""thinkport's own operators, for CPUs whose machine has the package thinkport-kernels: domain `thinkport`.

Cases of `NativeMatrices`: MatMulNBits → QuantizedMatMul, with the same inputs and attributes; all else is left alone.

Cases of `NativeExperts`: QMoE → QuantizedExperts, whose zero points are in the middle; all else is left alone.

Cases of `NativeAttention`, GroupQueryAttention over a float32 cache → CachedAttention over an int8 one:
    1. queries, keys and values come packed, or are split from a packed projection; the norms of heads between become
       inputs of the operator;
    2. an attention of other queries, keys and values is left alone, and the count fails the export.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.families import DecoderShape
from thinkport.export.passes.contract import OUTSIDE, Count, GraphPass, become
from thinkport.export.passes.walk import PASTS, PRESENTS, has_graphs_cache, made_by, operand
from thinkport.runtime.artifact.manifest import SCALE_BYTES

NATIVE = "thinkport"
_WIDEST, _MOST_QUERIES = 512, 16  # attention_op.cpp


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


@dataclass(kw_only=True)
class NativeExperts(GraphPass):
    """Once in each layer with experts (runtime_py/kernels/src/mixture_op.cpp). The router stays as it is."""

    name = "native_experts"
    per_layer: Count

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        return [_mixed(model.graph, node) for node in list(model.graph) if node.op_type == "QMoE"]


def _mixed(graph: ir.Graph, old: ir.Node) -> str:
    x, logits, into, into_scales, _, back, back_scales = old.inputs
    names = {"k": "k", "bits": "expert_weight_bits", "block_size": "block_size"}
    attributes = {ours: old.attributes[theirs].as_int() for ours, theirs in names.items()}
    inputs = [x, logits, into, into_scales, back, back_scales]
    return become(graph, old, "QuantizedExperts", inputs, attributes, domain=NATIVE)


def attends_natively(shape: DecoderShape) -> bool:
    """Whether the operator takes a model's heads: multiples of 32 wide, up to 16 queries for a key."""
    return shape.head_dim % 32 == 0 and shape.head_dim <= _WIDEST and shape.heads <= _MOST_QUERIES * shape.kv_heads


class NativeAttention(GraphPass):
    """Once a layer, over a KV cache whose tokens have their own scales (runtime_py/kernels/src/attention_op.cpp)."""

    name = "native_attention"
    per_layer = 1

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        nodes = [node for node in list(model.graph) if node.op_type == "GroupQueryAttention" and has_graphs_cache(node)]
        return [name for node in nodes if (name := _cached(model.graph, node)) is not None]


def _cached(graph: ir.Graph, old: ir.Node) -> str | None:
    query, key, value = old.inputs[:3]
    packed, norms, epsilon = query, [], 0.0
    if value is not None:
        split = made_by(value, "Split")
        if split is None:
            return None
        packed = split.inputs[0]
        found = [] if query is split.outputs[0] and key is split.outputs[1] else [_normed(one) for one in (query, key)]
        if any(one is None for one in found):
            return None
        norms = [one.inputs[1] for one in found if one is not None]
        epsilon = next((one.attributes["epsilon"].as_float() for one in found if one is not None), epsilon)
    for cache in (*old.inputs[PASTS], *old.outputs[PRESENTS]):
        assert cache is not None
        assert cache.shape is not None
        *rest, width = cache.shape
        assert isinstance(width, int)
        cache.type, cache.shape = ir.TensorType(ir.DataType.INT8), ir.Shape([*rest, width + SCALE_BYTES])
    attributes: dict[str, float] = {name: old.attributes[name].as_int() for name in ("num_heads", "kv_num_heads")}
    attributes |= {"scale": old.attributes["scale"].as_float(), "epsilon": epsilon}
    return become(graph, old, "CachedAttention", [packed, *old.inputs[3:9], *norms], attributes, domain=NATIVE)


def _normed(value: ir.Value | None) -> ir.Node | None:
    """The norm of heads that a merged value comes from."""
    return made_by(operand(made_by(value, "Reshape"), 0), "SimplifiedLayerNormalization")

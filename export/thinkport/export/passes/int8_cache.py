"""A float32 KV cache → an int8 one.

Cases:
    1. past and present of a GroupQueryAttention are the graph's own inputs and outputs: they become int8, and the
       attention gets its layer's scales;
    2. an attention spelled out, or one with another cache, is left alone, and the count fails the export.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.walk import PASTS, PRESENTS, has_graphs_cache
from thinkport.export.quantize.kv_scales import KvScales
from thinkport.export.trace.initializers import floats
from thinkport.export.trace.names import layer_of

_K_SCALE, _V_SCALE, _INPUTS = 12, 13, 14


@dataclass(kw_only=True)
class Int8Cache(GraphPass):
    """Once a layer, behind the attention pass.

    Operator: com.microsoft.GroupQueryAttention, `k_scale` and `v_scale` float32 (1, kv_heads, 1, head_dim) where they
    are PER_CHANNEL, (1,) where they are PER_TENSOR (docs/ContribOperators.md), the same for both. Its
    codes are rounded to nearest and cut off at -128 and 127, those of the step's own keys and values before it attends
    to them. The scales belong to this graph alone and are small (229 KB a channel, of 28 layers of 8 heads of 128), so
    they stay in its file.
    """

    name = "int8_cache"
    per_layer = 1
    scales: KvScales

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        return [name for node in model.graph if (name := self._narrow(model.graph, node)) is not None]

    def _narrow(self, graph: ir.Graph, attention: ir.Node) -> str | None:
        layer = layer_of(attention.name or "")
        if attention.op_type != "GroupQueryAttention" or layer is None or not has_graphs_cache(attention):
            return None
        for value in (*attention.inputs[PASTS], *attention.outputs[PRESENTS]):
            assert value is not None
            value.type = ir.TensorType(ir.DataType.INT8)
        attention.resize_inputs(max(_INPUTS, len(attention.inputs)))  # norms of Q and K may lie behind the scales
        assert self.scales.keys[layer].ndim == self.scales.values[layer].ndim
        for index, name, scales in ((_K_SCALE, "k", self.scales.keys), (_V_SCALE, "v", self.scales.values)):
            array = scales[layer][None, :, None] if scales[layer].ndim else scales[layer][None]
            scale = floats(graph, f"model.layers.{layer}.self_attn.{name}_scale", array)
            attention.replace_input_with(index, scale)
            kind = "PER_CHANNEL" if scales[layer].ndim else "PER_TENSOR"
            attention.attributes[f"{name}_quant_type"] = ir.AttrString(f"{name}_quant_type", kind)
        attention.attributes["kv_cache_bit_width"] = ir.AttrInt64("kv_cache_bit_width", 8)
        return attention.name

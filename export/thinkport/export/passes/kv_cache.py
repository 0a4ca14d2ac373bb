"""A float32 KV cache → a narrower one.

Cases:
    1. float16: past and present change their type, and GroupQueryAttention rounds;
    2. int8: the same, and each attention gets its layer's scales;
    3. an attention spelled out, or one whose cache is no input and output of the graph, is left alone, and the count
       fails the export.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import onnx_ir as ir

from thinkport.deploy.targets import KvDtype
from thinkport.export.passes.contract import GraphPass, each_layer
from thinkport.export.quantize.kv_scales import Floats, KvScales
from thinkport.export.trace.names import layer_of

_TYPES = {"float16": ir.DataType.FLOAT16, "int8": ir.DataType.INT8}
_PASTS, _PRESENTS = slice(3, 5), slice(1, 3)
_K_SCALE, _V_SCALE, _INPUTS = 12, 13, 14
_INT8: Mapping[str, Any] = MappingProxyType(
    {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
)


@dataclass(frozen=True, kw_only=True)
class KvCache(GraphPass):
    """Once a layer, behind the attention pass.

    Operator: com.microsoft.GroupQueryAttention, `k_scale` and `v_scale` float32 (1, kv_heads, 1, head_dim)
    (docs/ContribOperators.md). Its codes are rounded to nearest and cut off at -128 and 127, those of the step's own
    keys and values before it attends to them. The scales belong to this graph alone and are small (229 KB of 28 layers
    of 8 heads of 128), so they stay in its file.

    Raises:
        ValueError: int8 without scales, or scales for another type.
    """

    name: ClassVar[str] = "kv_cache"
    dtype: KvDtype
    scales: KvScales | None = None

    def __post_init__(self) -> None:
        if self.dtype not in _TYPES or (self.dtype == "int8") != (self.scales is not None):
            raise ValueError(f"a {self.dtype} cache {'with' if self.scales else 'without'} scales: int8 has them alone")

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, 1)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        found = [node for node in model.graph if node.op_type == "GroupQueryAttention" and _has_graphs_cache(node)]
        for attention in found:
            for value in (*attention.inputs[_PASTS], *attention.outputs[_PRESENTS]):
                if value is not None:
                    value.type = ir.TensorType(_TYPES[self.dtype])
            if self.scales is not None:
                _scale(model.graph, attention, self.scales)
        return [attention.name or "" for attention in found]


def _has_graphs_cache(attention: ir.Node) -> bool:
    pasts = [value is not None and value.is_graph_input() for value in attention.inputs[_PASTS]]
    return all(pasts) and all(value.is_graph_output() for value in attention.outputs[_PRESENTS])


def _scale(graph: ir.Graph, attention: ir.Node, scales: KvScales) -> None:
    layer = layer_of(attention.name or "")
    if layer is None:
        return
    attention.resize_inputs(_INPUTS)
    attention.replace_input_with(
        _K_SCALE, _initializer(graph, f"model.layers.{layer}.self_attn.k_scale", scales.keys[layer])
    )
    attention.replace_input_with(
        _V_SCALE, _initializer(graph, f"model.layers.{layer}.self_attn.v_scale", scales.values[layer])
    )
    attention.attributes.update({name: ir.convenience.convert_attribute(name, value) for name, value in _INT8.items()})


def _initializer(graph: ir.Graph, name: str, scales: Floats) -> ir.Value:
    tensor = ir.tensor(scales[None, :, None], name=name)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
    graph.register_initializer(value)
    return value

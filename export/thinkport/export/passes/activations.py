"""float32 activations → half precision.

Cases:
    1. every float32 value becomes a half: inputs, weights, constants, what is computed; a float32 KV cache too;
    2. the scales of an int8 KV cache stay float32, as the operator takes them;
    3. logits are cast to float32 at the end, so that they have one type on every target.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass
from thinkport.export.trace import names

_FLOAT = ir.DataType.FLOAT
_KV_SCALES = slice(12, 14)


@dataclass(kw_only=True)
class Activations(GraphPass):
    """Behind all that makes float32 values, for a fused graph, which has no Cast to float32 of its own.

    `dtype` is FLOAT16, or BFLOAT16 for a model whose activations leave float16's range.
    """

    name = "activations"
    outside = 1
    dtype: ir.DataType

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        attentions = [node for node in graph if node.op_type == "GroupQueryAttention"]
        kept = {value for node in attentions for value in node.inputs[_KV_SCALES]}
        computed = [value for node in graph for value in node.outputs]
        for value in (*graph.inputs, *graph.initializers.values(), *computed):
            if value.dtype == _FLOAT and value not in kept:
                self._narrow(value)
        return [self._widen_logits(graph)]

    def _narrow(self, value: ir.Value) -> None:
        value.type = ir.TensorType(self.dtype)
        if value.const_value is not None:
            value.const_value = ir.tensor(value.const_value.numpy().astype(self.dtype.numpy()), name=value.name)

    def _widen_logits(self, graph: ir.Graph) -> str:
        at = next(i for i, value in enumerate(graph.outputs) if value.name == names.LOGITS)
        narrow = graph.outputs[at]
        cast = ir.node("Cast", [narrow], {"to": _FLOAT.value}, name="lm_head.Cast")
        wide = cast.outputs[0]
        wide.type, wide.shape = ir.TensorType(_FLOAT), narrow.shape
        narrow.name, wide.name = f"{names.LOGITS}_narrow", names.LOGITS
        graph.outputs[at] = wide
        graph.append(cast)
        return cast.name or ""

"""Values in a KV cache → values less a center a channel, which the output of attention gets back.

Cases:
    1. a GroupQueryAttention over the graph's own cache: the negative centers are added to what comes in as values, and
       what o_proj makes of the centers is added behind o_proj;
    2. where one projection gives queries, keys and values, they are added to its last rows;
    3. an attention with another cache, or one spelled out, is left alone, and the count fails the export.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, module_of
from thinkport.export.passes.walk import has_graphs_cache, made_by, reader
from thinkport.export.quantize.kv_scales import Floats, ValueCenters
from thinkport.export.trace.initializers import floats
from thinkport.export.trace.names import layer_of

_QUERY, _VALUE = 0, 2  # of GroupQueryAttention's inputs


@dataclass(kw_only=True)
class CenteredValues(GraphPass):
    """Once a layer, in front of the pass that quantizes projections, which takes an addition as their bias.

    The weights of attention sum to 1, so a constant that all values lack is what their mean lacks.
    """

    name = "centered_values"
    per_layer = 1
    centers: ValueCenters

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        return [name for node in list(model.graph) if (name := self._center(model.graph, node)) is not None]

    def _center(self, graph: ir.Graph, attention: ir.Node) -> str | None:
        layer = layer_of(attention.name or "")
        if attention.op_type != "GroupQueryAttention" or layer is None or not has_graphs_cache(attention):
            return None
        value = attention.inputs[_VALUE]
        packed = attention.inputs[_QUERY] if value is None else _packed(value)
        shift = -self.centers.values[layer]
        if packed is not None:  # queries and keys lie in front, and stay
            heads = sum(attention.attributes[name].as_int() for name in ("num_heads", "kv_num_heads"))
            shift = np.concatenate([np.zeros((heads, shift.shape[1]), np.float32), shift])
        before = value if packed is None else packed
        assert before is not None
        _add(graph, before, shift.reshape(-1), f"{module_of(attention)}.v_center")
        product = reader(attention, "MatMul").outputs[0]
        _add(graph, product, self.centers.outputs[layer], f"{module_of(attention)}.o_center")
        return attention.name


def _packed(value: ir.Value) -> ir.Value | None:
    """The packed tensor of which a Split makes `value`; None where none does."""
    split = made_by(value, "Split")
    return None if split is None else split.inputs[0]


def _add(graph: ir.Graph, value: ir.Value, shift: Floats, name: str) -> None:
    """Add a constant (channels,) to a value for all that read it."""
    producer = value.producer()
    assert producer is not None
    added = ir.node("Add", [value, floats(graph, f"model.{name}", shift)], name=f"{name}.Add")
    added.outputs[0].type, added.outputs[0].shape = value.type, value.shape
    ir.convenience.replace_all_uses_with(value, added.outputs[0])
    added.replace_input_with(0, value)
    graph.insert_after(producer, [added])

"""GroupQueryAttention → attention spelled out for many tokens at once, over the same KV cache.

Cases:
    1. past and present of a GroupQueryAttention with rotary inside are the graph's own inputs and outputs: keys and
       values are written into the cache in place, and scores and their product with the values are matrix products;
    2. one with another cache is left alone, and the count fails the export.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, GraphPass, Nodes, module_of
from thinkport.export.passes.walk import has_graphs_cache, input_named
from thinkport.export.trace import names
from thinkport.export.trace.initializers import fixed, floats, integers

_NEVER = -1e30  # of a score that is masked: its exponential is 0, and it stays finite when another is added
_COS, _SIN, _K_SCALE, _V_SCALE = 7, 8, 12, 13


@dataclass(kw_only=True)
class PrefillAttention(GraphPass):
    """Once a layer, for a batch of one sequence without padding.

    The matrix products run at the speed of MatMul, where GroupQueryAttention's own code for several tokens is about a
    third as fast (measured on AVX2 with 1.32: 93 ms against 32 for 256 tokens over 1,792, 16 heads of 128).

    Operators: TensorScatter (opset 24) writes in place where past and present are one buffer; com.microsoft
    FusedMatMul and RotaryEmbedding (docs/ContribOperators.md). An int8 cache's scales never meet the
    cached tokens: those of the keys are in the queries, those of the values in the result. As in GroupQueryAttention,
    the step's own keys and values are rounded before it attends to them.
    """

    name = "prefill_attention"
    per_layer = 1
    heads: int
    kv_heads: int
    head_dim: int

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        attentions = [node for node in graph if node.op_type == "GroupQueryAttention"]
        found = [node for node in attentions if has_graphs_cache(node) and _rotates(node)]
        if not found:
            return []
        step = self._step(graph)
        return [self._spell_out(graph, node, step) for node in found]

    def _step(self, graph: ir.Graph) -> "_Step":
        """What all layers share: the step's place in the sequence and its causal mask, (tokens, 1, total) float32."""
        new = Nodes("prefill")
        mask, ids = (input_named(graph, name) for name in (names.ATTENTION_MASK, names.INPUT_IDS))
        zero, one = integers(graph, "zero", 0), integers(graph, "one_integer", 1)
        total = new.make("Shape", [mask], {"start": 1, "end": 2})
        tokens = new.make("Shape", [ids], {"start": 1, "end": 2})
        past = new.make("Sub", [total, tokens])
        end = new.make("Squeeze", [total])
        positions = new.make("Range", [new.make("Squeeze", [past]), end, one])
        rows = new.make("Reshape", [positions, integers(graph, "as_rows", [-1, 1, 1])])
        future = new.make("Greater", [new.make("Range", [zero, end, one]), rows])
        causal = new.make("Where", [future, floats(graph, "never", _NEVER), floats(graph, "always", 0.0)])
        lead, group = integers(graph, "score_lead", [1, self.kv_heads]), self.heads // self.kv_heads
        grouped = [lead, integers(graph, "any_rows", [-1]), integers(graph, "score_group", [group]), total]
        flat = [lead, integers(graph, "any_rows", [-1]), total]
        step = _Step(
            past=past,
            total=total,
            positions=new.make("Unsqueeze", [positions, integers(graph, "first_axis", [0])]),
            causal=causal,
            grouped=new.make("Concat", grouped, {"axis": 0}),
            flat=new.make("Concat", flat, {"axis": 0}),
        )
        graph.insert_before(graph[0], new.nodes)
        return step

    def _spell_out(self, graph: ir.Graph, attention: ir.Node, step: "_Step") -> str:
        module = module_of(attention)
        new = Nodes(f"{module}.prefill")
        tables = [attention.inputs[_COS], attention.inputs[_SIN]]

        def rotated(value: ir.Value | None, heads: int) -> ir.Value:
            return new.make("RotaryEmbedding", [value, step.positions, *tables], {"num_heads": heads}, MICROSOFT)

        k_scale, v_scale = _scales(attention, _K_SCALE), _scales(attention, _V_SCALE)
        query = self._query(graph, new, rotated(attention.inputs[0], self.heads), attention, k_scale)
        key_cache, keys = self._append(graph, new, rotated(attention.inputs[1], self.kv_heads), 0, attention, step)
        value_cache, values = self._append(graph, new, attention.inputs[2], 1, attention, step)
        scores = new.make("FusedMatMul", [query, keys], {"transB": 1}, MICROSOFT)
        masked = new.make("Add", [new.make("Reshape", [scores, step.grouped]), step.causal])
        weights = new.make("Reshape", [new.make("Softmax", [masked], {"axis": -1}), step.flat])
        weighted = new.make("MatMul", [weights, values])
        group = self.heads // self.kv_heads
        split = [0, 0, -1, group, self.head_dim]
        heads = new.make("Reshape", [weighted, integers(graph, "prefill_groups", split)])
        if v_scale is not None:
            factor = v_scale.reshape(1, self.kv_heads, 1, 1, self.head_dim) if v_scale.ndim > 1 else v_scale
            heads = new.make("Mul", [heads, floats(graph, f"{module}.prefill.v_scale", factor)])
        rows = new.make("Transpose", [heads], {"perm": [0, 2, 1, 3, 4]})
        result = new.make("Reshape", [rows, integers(graph, "merge_groups", [0, 0, -1])])
        ir.convenience.replace_nodes_and_values(
            graph, attention, [attention], new.nodes, attention.outputs, [result, key_cache, value_cache]
        )
        return new.nodes[-1].name or ""

    def _query(
        self, graph: ir.Graph, new: Nodes, rotated: ir.Value, attention: ir.Node, k_scale: np.ndarray | None
    ) -> ir.Value:
        """Queries (1, kv_heads, tokens · group, head_dim), scaled: a key's group of query heads lies side by side."""
        group = self.heads // self.kv_heads
        channels = np.ones((self.kv_heads, 1, self.head_dim), np.float32)
        if k_scale is not None:
            channels = channels * (k_scale.reshape(channels.shape) if k_scale.ndim > 1 else k_scale)
        scale = np.float32(attention.attributes["scale"].as_float())
        factor = np.repeat(channels, group, axis=1).reshape(-1) * scale
        scaled = new.make("Mul", [rotated, floats(graph, f"{new.module}.q_scale", factor)])
        grouped = [0, 0, self.kv_heads, group * self.head_dim]
        heads = new.make("Reshape", [scaled, integers(graph, "query_groups", grouped)])
        turned = new.make("Transpose", [heads], {"perm": [0, 2, 1, 3]})
        return new.make("Reshape", [turned, integers(graph, "query_rows", [0, 0, -1, self.head_dim])])

    def _append(
        self, graph: ir.Graph, new: Nodes, value: ir.Value | None, part: int, attention: ir.Node, step: "_Step"
    ) -> tuple[ir.Value, ir.Value]:
        """(present, float32 (1, kv_heads, total, head_dim) of it): the step's keys or values go into their cache.

        Of an int8 cache, the second are the codes as numbers.
        """
        scales = _scales(attention, (_K_SCALE, _V_SCALE)[part])
        if scales is not None:
            steps = floats(graph, f"{new.module}.{'kv'[part]}_steps", (1 / scales).reshape(-1))
            one, zero = floats(graph, "unit_scale", 1.0), fixed(graph, "int8_zero", np.array(0, np.int8))
            value = new.make("QuantizeLinear", [new.make("Mul", [value, steps]), one, zero])
        split = integers(graph, "split_kv_heads", [0, 0, self.kv_heads, self.head_dim])
        heads = new.make("Transpose", [new.make("Reshape", [value, split])], {"perm": [0, 2, 1, 3]})
        present = new.make("TensorScatter", [attention.inputs[3 + part], heads, step.past], {"axis": 2})
        start, axis = integers(graph, "first_token", [0]), integers(graph, "token_axis", [2])
        held = new.make("Slice", [present, start, step.total, axis])
        if scales is not None:
            held = new.make("DequantizeLinear", [held, floats(graph, "unit_scale", 1.0)])
        return present, held


@dataclass(frozen=True, kw_only=True)
class _Step:
    past: ir.Value
    total: ir.Value
    positions: ir.Value
    causal: ir.Value
    grouped: ir.Value
    flat: ir.Value


def _rotates(attention: ir.Node) -> bool:
    return "do_rotary" in attention.attributes and attention.attributes["do_rotary"].as_int() == 1


def _scales(attention: ir.Node, index: int) -> np.ndarray | None:
    """The scales of an int8 cache, (1, kv_heads, 1, head_dim) or (1,); None of a float32 one."""
    value = attention.inputs[index] if index < len(attention.inputs) else None
    return None if value is None or value.const_value is None else value.const_value.numpy()

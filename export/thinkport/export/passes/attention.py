"""Rotary, cache, repeated heads and attention spelled out → GroupQueryAttention.

Cases:
    1. softmax(q·k/√d + mask)·v with rotary on q and k, k and v appended to the cache, their heads repeated;
    2. the mask must be the decoder's own (causal, padding on the right): it becomes `seqlens_k`;
    3. where the operator does not rotate, RotaryEmbedding nodes stand in front of it, and `position_ids` is an input;
    4. any other attention is left alone, and the count fails the export.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from thinkport.export.families import DecoderShape, cos_sin_tables
from thinkport.export.passes.contract import MICROSOFT, Fusion, Nodes, module_of
from thinkport.export.passes.walk import above, expect, input_named, made_by, made_from, maker, operand, other, reader
from thinkport.export.trace import names
from thinkport.export.trace.initializers import constant, floats, integers, scalar


@dataclass(frozen=True, kw_only=True)
class _AttentionValues:
    """One attention: q, k and v, (batch, sequence, heads, head_dim) before transposition, and its layer's cache."""

    operands: tuple[ir.Value, ir.Value, ir.Value]
    past: tuple[ir.Value, ir.Value]
    present: tuple[ir.Value, ir.Value]
    scale: float
    result: ir.Node  # the Reshape to (batch, sequence, heads · head_dim)


@dataclass(kw_only=True)
class Attention(Fusion[_AttentionValues]):
    """Once a layer. Cos and sin tables are (context, head_dim / 2) float32, YaRN's factor included.

    Operators: com.microsoft.GroupQueryAttention, rotating with `rotary_inside`, else com.microsoft.RotaryEmbedding in
    front of it, which takes the size of a head from the tables (docs/ContribOperators.md).
    """

    name = "attention"
    per_layer = 1
    starts_at = ("Softmax",)
    shape: DecoderShape
    rotary_inside: bool = True

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        sites, graph = self.matches(model), model.graph
        if not sites:
            return []
        self._lengths = _lengths(graph)
        cos, sin = cos_sin_tables(self.shape)
        self._tables = [floats(graph, "cos_cache", cos), floats(graph, "sin_cache", sin)]
        self._positions = None if self.rotary_inside else _positions(graph)
        return [self.fuse(graph, site) for site in sites]

    def match(self, node: ir.Node) -> _AttentionValues:
        """The attention around a Softmax."""
        scores = maker(node.inputs[0], "scores plus mask in front of Softmax", "Add")
        product, mask = made_from(scores, "scores and mask", "MatMul")
        _check_mask(mask)
        chosen = reader(node, "Where")
        weighted = reader(chosen, "MatMul")
        result = reader(reader(reader(weighted, "Reshape"), "Transpose"), "Reshape")
        query, query_scale = _scaled(product.inputs[0])
        key, key_scale = _scaled(product.inputs[1])
        keys = above(key, "keys in the product with queries", "Reshape", "Transpose", "Reshape")
        past_key, new_key, present_key = _cached(keys, "keys")
        past_value, new_value, present_value = _cached(weighted.inputs[1], "values")
        value = above(new_value, "values in front of their cache", "Transpose")
        return _AttentionValues(
            operands=(_rotated(query, "query"), _rotated(new_key, "key"), value),
            past=(past_key, past_value),
            present=(present_key, present_value),
            scale=query_scale * key_scale,
            result=result,
        )

    def fuse(self, graph: ir.Graph, match: _AttentionValues) -> str:
        new = Nodes(module_of(match.result))
        operands = [_merge_heads(graph, *operand, new) for operand in zip(match.operands, "qkv", strict=True)]
        if self._positions is not None:
            turning = [self._positions, *self._tables]
            operands[:2] = [_rotate(value, turning, part, new) for value, part in zip(operands, "qk", strict=False)]
        inside = {"do_rotary": 1} if self.rotary_inside else {}
        attention = ir.node(
            "GroupQueryAttention",
            [*operands, *match.past, *self._lengths, *(self._tables if inside else ())],
            {"num_heads": self.shape.heads, "kv_num_heads": self.shape.kv_heads, "scale": match.scale, **inside},
            domain=MICROSOFT,
            num_outputs=3,
            name=f"{new.module}.GroupQueryAttention",
        )
        old, nodes = [match.result.outputs[0], *match.present], [*new.nodes, attention]
        ir.convenience.replace_nodes_and_values(graph, match.result, [], nodes, old, attention.outputs)
        return attention.name or ""


def _merge_heads(graph: ir.Graph, value: ir.Value, part: str, new: Nodes) -> ir.Value:
    """(batch, sequence, heads, head_dim) → (batch, sequence, heads · head_dim), as the operator takes it."""
    split = made_by(value, "Reshape")
    before = operand(split, 0)
    if before is not None and before.shape is not None and len(before.shape) == 3:
        return before  # v was split and is merged again: nothing happened to its heads
    normed = operand(made_by(value, "SimplifiedLayerNormalization"), 0)
    heads = made_by(normed, "Reshape")
    if heads is not None and value.shape is not None and isinstance(value.shape[-1], int):
        # The traced shape asks for batch and sequence; 0 in a Reshape means the same and costs no nodes.
        heads.replace_input_with(1, integers(graph, "split_heads_shape", [0, 0, -1, value.shape[-1]]))
        heads.attributes["allowzero"] = ir.AttrInt64("allowzero", 0)
    merged = integers(graph, "merge_heads_shape", [0, 0, -1])
    return new.make("Reshape", [value, merged], dtype=value.dtype, name=f"{part}_Reshape_merge")


def _rotate(value: ir.Value, positions_and_tables: list[ir.Value], part: str, new: Nodes) -> ir.Value:
    """(batch, sequence, heads · head_dim), each head turned by its token's position."""
    inputs, name = [value, *positions_and_tables], f"{part}_RotaryEmbedding"
    rotated = new.make("RotaryEmbedding", inputs, domain=MICROSOFT, dtype=value.dtype, name=name)
    rotated.shape = value.shape
    return rotated


def _positions(graph: ir.Graph) -> ir.Value:
    """`position_ids`, int64 (batch, sequence), as an input behind the mask."""
    ids = input_named(graph, names.INPUT_IDS)
    value = ir.Value(name=names.POSITION_IDS, type=ids.type, shape=ids.shape)
    graph.inputs.insert(graph.inputs.index(input_named(graph, names.ATTENTION_MASK)) + 1, value)
    return value


def _lengths(graph: ir.Graph) -> list[ir.Value]:
    """`seqlens_k` (batch,) int32, the tokens of each row less one, and `total_sequence_length`, an int32 scalar."""
    mask, new, int32 = input_named(graph, names.ATTENTION_MASK), Nodes("mask"), {"to": ir.DataType.INT32.value}
    axis, one = integers(graph, "mask_axis", [1]), integers(graph, "one", [1])
    count = new.make("ReduceSum", [mask, axis], {"keepdims": 0}, name="ReduceSum")
    lengths = new.make("Cast", [new.make("Sub", [count, one], name="Sub")], int32, name="Cast_seqlens")
    size = new.make("Shape", [mask], {"start": 1, "end": 2}, name="Shape")
    total = new.make("Cast", [new.make("Squeeze", [size], name="Squeeze")], int32, name="Cast_total")
    graph.insert_before(graph[0], new.nodes)
    lengths.name, total.name = "seqlens_k", "total_sequence_length"
    return [lengths, total]


def _rotated(value: ir.Value | None, part: str) -> ir.Value:
    """x of Transpose(x)·cos + rotate_half(Transpose(x))·sin, where x is (batch, sequence, heads, head_dim)."""
    total = maker(value, f"rotated {part}", "Add")
    straight, turned = (maker(term, f"term of rotated {part}", "Mul") for term in total.inputs)
    if not any(made_by(factor, "Concat") for factor in turned.inputs):
        straight, turned = turned, straight
    halves, sine = made_from(turned, f"{part}'s turned halves and a sine", "Concat")
    heads = above(halves.inputs[1], f"first half of {part}", "Slice")
    negated = above(halves.inputs[0], f"second half of {part}", "Neg", "Slice")
    expect(heads is negated and heads in straight.inputs, total, f"adds other tensors, expected {part} and its halves")
    found = [_table_op(table) for table in (other(straight, heads), sine)]
    expect(found == ["Cos", "Sin"], total, f"rotates {part} by {found}, expected cosine and sine of positions")
    return above(heads, f"{part} in front of rotary", "Transpose")


def _table_op(value: ir.Value) -> str | None:
    """The operator whose result, scaled or not, is a table of rotary."""
    table = _scaled(operand(made_by(value, "Unsqueeze"), 0))[0]
    producer = None if table is None else table.producer()
    return None if producer is None else producer.op_type


def _scaled(value: ir.Value | None) -> tuple[ir.Value | None, float]:
    """What is multiplied by a constant, and the constant."""
    node = made_by(value, "Mul")
    for index in range(2):
        factor = scalar(operand(node, index))
        if factor is not None:
            return operand(node, 1 - index), factor
    return value, 1.0


def _cached(repeated: ir.Value | None, part: str) -> tuple[ir.Value, ir.Value, ir.Value]:
    """(past, new, present) of heads that were appended to the cache, and repeated where queries have more heads."""
    present = repeated
    if made_by(repeated, "Concat") is None:
        present = above(repeated, f"repeated heads of {part}", "Reshape", "Expand", "Unsqueeze")
    append = maker(present, f"cached {part}", "Concat")
    past, new = append.inputs
    assert past is not None
    assert new is not None
    expect(past.is_graph_input(), append, f"appends {part} to {past.name}, expected the graph's own cache")
    return past, new, append.outputs[0]


def _check_mask(bias: ir.Value) -> None:
    """Accept a bias that is 0 where (key ≤ query) and (attention_mask > 0), and minus infinity elsewhere."""
    where = maker(bias, "mask", "Where")
    both = maker(where.inputs[0], "condition of the mask", "And")
    zero, blocked = scalar(where.inputs[1]), constant(where.inputs[2])
    hard = zero == 0 and blocked is not None and bool(np.all(blocked <= np.finfo(np.float32).min))
    expect(hard, where, "chooses between other numbers, expected 0 and minus infinity")
    conditions = [_stretched(value) for value in both.inputs]
    known = any(_is_causal(conditions[i]) and _is_padding(conditions[1 - i]) for i in range(2))
    expect(known, both, "is another mask, expected key ≤ query and attention_mask > 0")


def _is_causal(condition: ir.Value | None) -> bool:
    """Key positions ≤ query positions, which start where the cache ends."""
    compared = made_by(condition, "LessOrEqual")
    key, query = _stretched(operand(compared, 0)), made_by(operand(compared, 1), "Add")
    return made_by(key, "Range") is not None and any(
        made_by(_stretched(operand(query, i)), "Range") is not None for i in range(2)
    )


def _is_padding(condition: ir.Value | None) -> bool:
    compared = made_by(condition, "Greater")
    mask = _stretched(operand(compared, 0))
    return mask is not None and mask.name == names.ATTENTION_MASK and scalar(operand(compared, 1)) == 0


def _stretched(value: ir.Value | None) -> ir.Value | None:
    """What a value was before it got more axes."""
    while (node := made_by(value, "Unsqueeze")) is not None:
        value = operand(node, 0)
    return value

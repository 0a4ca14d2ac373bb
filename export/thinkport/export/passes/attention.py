"""Rotary, cache, repeated heads and attention spelled out → GroupQueryAttention.

Cases:
    1. softmax(q·k/√d + mask)·v with rotary on q and k, k and v appended to the cache, their heads repeated;
    2. the mask must be the decoder's own (causal, padding on the right): it becomes `seqlens_k`;
    3. where the operator does not rotate, RotaryEmbedding nodes stand in front of it, and `position_ids` is an input;
    4. any other attention is left alone, and the count fails the export.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, GraphPass, each_layer, named_like
from thinkport.export.passes.walk import made_by, made_from, operand, through
from thinkport.export.trace import names
from thinkport.export.trace.constant import constant, integers, scalar


@dataclass(frozen=True, kw_only=True)
class _Site:
    """One attention: (batch, sequence, heads, head_dim) values before transposition, cache, scale, result."""

    query: ir.Value
    key: ir.Value
    value: ir.Value
    past_key: ir.Value
    past_value: ir.Value
    present_key: ir.Value
    present_value: ir.Value
    scale: float
    result: ir.Node  # the Reshape to (batch, sequence, heads · head_dim)

    def projections(self) -> list[tuple[str, ir.Value]]:
        return [("q", self.query), ("k", self.key), ("v", self.value)]


@dataclass(frozen=True, kw_only=True)
class Attention(GraphPass):
    """Once a layer. Cos and sin tables are (context, head_dim / 2) float32, YaRN's factor included.

    Operators: com.microsoft.GroupQueryAttention, rotating with `rotary_inside`, else com.microsoft.RotaryEmbedding in
    front of it, which takes the size of a head from the tables (docs/ContribOperators.md).
    """

    name: ClassVar[str] = "attention"
    heads: int
    kv_heads: int
    head_dim: int
    cos: np.ndarray
    sin: np.ndarray
    rotary_inside: bool = True

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, 1)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        sites = [site for node in graph if node.op_type == "Softmax" and (site := _match(node)) is not None]
        if not sites:
            return []
        lengths, tables = _lengths(graph), self._tables(graph)
        positions = None if self.rotary_inside else _positions(graph)
        return [self._fuse(graph, site, lengths, tables, positions) for site in sites]

    def _tables(self, graph: ir.Graph) -> list[ir.Value]:
        tables = []
        for name, table in (("cos_cache", self.cos), ("sin_cache", self.sin)):
            value = ir.Value(name=name, const_value=ir.tensor(table, name=name))
            value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(table.shape)
            graph.register_initializer(value)
            tables.append(value)
        return tables

    def _fuse(
        self, graph: ir.Graph, site: _Site, lengths: list[ir.Value], tables: list[ir.Value], positions: ir.Value | None
    ) -> str:
        new: list[ir.Node] = []
        operands = [_merge_heads(graph, value, f"{_module(site)}.{part}", new) for part, value in site.projections()]
        if positions is not None:
            operands[:2] = [
                _rotate(operand, [positions, *tables], f"{_module(site)}.{part}", new)
                for operand, part in zip(operands[:2], ("q", "k"), strict=True)
            ]
        inside = {"do_rotary": 1} if positions is None else {}
        attention = ir.node(
            "GroupQueryAttention",
            [*operands, site.past_key, site.past_value, *lengths, *(tables if inside else ())],
            {"num_heads": self.heads, "kv_num_heads": self.kv_heads, "scale": site.scale, **inside},
            domain=MICROSOFT,
            num_outputs=3,
            name=f"{_module(site)}.GroupQueryAttention",
        )
        old = [site.result.outputs[0], site.present_key, site.present_value]
        for after, before in zip(attention.outputs, old, strict=True):
            after.type, after.shape = before.type, before.shape
        ir.convenience.replace_nodes_and_values(graph, site.result, [], [*new, attention], old, attention.outputs)
        return attention.name or ""


def _module(site: _Site) -> str:
    return named_like(site.result, "").rstrip(".")


def _merge_heads(graph: ir.Graph, value: ir.Value, name: str, new: list[ir.Node]) -> ir.Value:
    """(batch, sequence, heads, head_dim) → (batch, sequence, heads · head_dim), as the operator takes it."""
    split = made_by(value, "Reshape")
    before = operand(split, 0)
    if before is not None and before.shape is not None and len(before.shape) == 3:
        return before  # v was split and is merged again: nothing happened to its heads
    _split_by_constant(graph, made_by(through(value, "SimplifiedLayerNormalization"), "Reshape"), value)
    merge = ir.node("Reshape", [value, integers(graph, "merge_heads_shape", [0, 0, -1])], name=f"{name}_Reshape_merge")
    merge.outputs[0].type = value.type
    new.append(merge)
    return merge.outputs[0]


def _rotate(value: ir.Value, positions_and_tables: list[ir.Value], name: str, new: list[ir.Node]) -> ir.Value:
    """(batch, sequence, heads · head_dim), each head turned by its token's position."""
    rotary = ir.node(
        "RotaryEmbedding", [value, *positions_and_tables], domain=MICROSOFT, name=f"{name}_RotaryEmbedding"
    )
    rotary.outputs[0].type, rotary.outputs[0].shape = value.type, value.shape
    new.append(rotary)
    return rotary.outputs[0]


def _positions(graph: ir.Graph) -> ir.Value:
    """`position_ids`, int64 (batch, sequence), as an input behind the mask."""
    ids = next(value for value in graph.inputs if value.name == names.INPUT_IDS)
    value = ir.Value(name=names.POSITION_IDS, type=ids.type, shape=ids.shape)
    at = [value.name for value in graph.inputs].index(names.ATTENTION_MASK)
    graph.inputs.insert(at + 1, value)
    return value


def _split_by_constant(graph: ir.Graph, split: ir.Node | None, value: ir.Value) -> None:
    """The traced shape asks for batch and sequence; 0 in a Reshape means the same and costs no nodes."""
    if split is not None and value.shape is not None and isinstance(value.shape[-1], int):
        split.replace_input_with(1, integers(graph, "split_heads_shape", [0, 0, -1, value.shape[-1]]))
        split.attributes["allowzero"] = ir.AttrInt64("allowzero", 0)


def _lengths(graph: ir.Graph) -> list[ir.Value]:
    """`seqlens_k` (batch,) int32, the tokens of each row less one, and `total_sequence_length`, an int32 scalar."""
    mask = next(value for value in graph.inputs if value.name == names.ATTENTION_MASK)
    axis, one = integers(graph, "mask_axis", [1]), integers(graph, "one", [1])
    count = ir.node("ReduceSum", [mask, axis], {"keepdims": 0}, name="mask.ReduceSum")
    less = ir.node("Sub", [count.outputs[0], one], name="mask.Sub")
    lengths = ir.node("Cast", [less.outputs[0]], {"to": ir.DataType.INT32.value}, name="mask.Cast_seqlens")
    size = ir.node("Shape", [mask], {"start": 1, "end": 2}, name="mask.Shape")
    scalar_size = ir.node("Squeeze", [size.outputs[0]], name="mask.Squeeze")
    total = ir.node("Cast", [scalar_size.outputs[0]], {"to": ir.DataType.INT32.value}, name="mask.Cast_total")
    graph.insert_before(graph[0], [count, less, lengths, size, scalar_size, total])
    lengths.outputs[0].name, total.outputs[0].name = "seqlens_k", "total_sequence_length"
    return [lengths.outputs[0], total.outputs[0]]


def _match(softmax: ir.Node) -> _Site | None:
    scores = made_by(operand(softmax, 0), "Add")
    product = made_from(scores, "MatMul")
    result = _result(softmax)
    if product is None or result is None or not _is_decoder_mask(product[1]):
        return None
    matmul, _ = product
    query, query_scale = _scaled(operand(matmul, 0))
    key, key_scale = _scaled(operand(matmul, 1))
    weighted, reshape = result
    key_cache = _cached(through(key, "Reshape", "Transpose", "Reshape"))
    value_cache = _cached(operand(weighted, 1))
    if key_cache is None or value_cache is None:
        return None
    query_heads, key_heads = _rotated(query), _rotated(key_cache[1])
    value_heads = through(value_cache[1], "Transpose")
    if query_heads is None or key_heads is None or value_heads is None:
        return None
    return _Site(
        query=query_heads,
        key=key_heads,
        value=value_heads,
        past_key=key_cache[0],
        past_value=value_cache[0],
        present_key=key_cache[2],
        present_value=value_cache[2],
        scale=query_scale * key_scale,
        result=reshape,
    )


def _result(softmax: ir.Node) -> tuple[ir.Node, ir.Node] | None:
    """The product with v, and the Reshape that merges the heads behind it."""
    node = softmax
    for op_type in ("Where", "MatMul", "Reshape", "Transpose", "Reshape"):
        uses = [use.node for use in node.outputs[0].uses() if use.node.op_type == op_type]
        if len(uses) != 1:
            return None
        node = uses[0]
        if op_type == "MatMul":
            weighted = node
    return weighted, node


def _scaled(value: ir.Value | None) -> tuple[ir.Value | None, float]:
    """What is multiplied by a constant, and the constant."""
    node = made_by(value, "Mul")
    for index in range(2):
        factor = scalar(operand(node, index))
        if factor is not None:
            return operand(node, 1 - index), factor
    return value, 1.0


def _cached(repeated: ir.Value | None) -> tuple[ir.Value, ir.Value, ir.Value] | None:
    """(past, new, present) of heads that were appended to the cache, and repeated where queries have more heads."""
    present = repeated if made_by(repeated, "Concat") else through(repeated, "Reshape", "Expand", "Unsqueeze")
    append = made_by(present, "Concat")
    past, new = operand(append, 0), operand(append, 1)
    if past is None or new is None or present is None or not past.is_graph_input():
        return None
    return past, new, present


def _rotated(value: ir.Value | None) -> ir.Value | None:
    """x of Transpose(x)·cos + rotate_half(Transpose(x))·sin, where x is (batch, sequence, heads, head_dim)."""
    total = made_by(value, "Add")
    for index in range(2):
        straight, turned = made_by(operand(total, index), "Mul"), made_by(operand(total, 1 - index), "Mul")
        halves = made_from(turned, "Concat")
        if straight is None or halves is None:
            continue
        heads = through(operand(halves[0], 1), "Slice")
        negated = through(operand(halves[0], 0), "Neg", "Slice")
        if heads is not None and heads is negated and heads in straight.inputs and _is_cosine(straight, halves[1]):
            return through(heads, "Transpose")
    return None


def _is_cosine(straight: ir.Node, sine: ir.Value) -> bool:
    """Whether the two factors are the cosine and the sine of positions."""
    tables = [_table_op(value) for value in straight.inputs]
    return "Cos" in tables and _table_op(sine) == "Sin"


def _table_op(value: ir.Value | None) -> str | None:
    node = made_by(value, "Unsqueeze")
    value = operand(node, 0)
    scaled = made_by(value, "Mul")
    inner = (_scaled(value)[0] if scaled is not None else value) if value is not None else None
    producer = inner.producer() if inner is not None else None
    return producer.op_type if producer is not None else None


def _is_decoder_mask(bias: ir.Value) -> bool:
    """Whether a bias is 0 where (key ≤ query) and (attention_mask > 0), and minus infinity elsewhere."""
    where = made_by(bias, "Where")
    both = made_by(operand(where, 0), "And")
    zero, blocked = scalar(operand(where, 1)), constant(operand(where, 2))
    if both is None or zero != 0 or blocked is None or not np.all(blocked <= np.finfo(np.float32).min):
        return False
    conditions = [_stretched(value) for value in both.inputs]
    return any(_is_causal(conditions[i]) and _is_padding(conditions[1 - i]) for i in range(2))


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

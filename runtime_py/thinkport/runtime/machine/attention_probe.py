"""The attention of a graph alone, as a graph of one layer over made-up queries, keys and values.

Knows the operator GroupQueryAttention (ONNX Runtime's docs/ContribOperators.md) and a few fields of onnx.proto. Must
not know what a device is, or how much of an error is too much.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.manifest import ModelShape
from thinkport.runtime.machine.onnx_fields import (
    ELEMENTS,
    INT64,
    MICROSOFT,
    array,
    constant,
    fields,
    integer,
    model,
    node,
    value,
)

ATTENTION = "GroupQueryAttention"
LOGITS = "logits"
TOKENS = 96  # different ones that a probe knows, and the most that its rotation has angles for
_KEY, _VALUE, _COS, _SIN, _Q_NORM, _K_NORM = 1, 2, 7, 8, 14, 15  # inputs
_GRAPH, _NODE, _INPUT, _OPERATOR, _ATTRIBUTE = 7, 1, 1, 4, 5  # fields of ModelProto, GraphProto, NodeProto
_EPSILON = b"qk_norm_epsilon"
_PAST = ("past_key_values.0.key", "past_key_values.0.value")
_PRESENT = ("present.0.key", "present.0.value")


class AttentionNode(NamedTuple):
    """A GroupQueryAttention as a graph has it: which inputs it takes, and its attributes as they are in the file."""

    inputs: tuple[bool, ...]
    attributes: tuple[bytes, ...]

    def takes(self, at: int) -> bool:
        """Whether it has the input at a place."""
        return at < len(self.inputs) and self.inputs[at]


def first_attention(onnx: bytes) -> AttentionNode | None:
    """The first attention of an ONNX file; None where it has none."""
    for number, graph in fields(onnx):
        if number == _GRAPH:
            for one in (content for at, content in fields(graph) if at == _NODE):
                parts = list(fields(one))
                if (_OPERATOR, ATTENTION.encode()) in parts:
                    inputs = tuple(bool(name) for at, name in parts if at == _INPUT)
                    return AttentionNode(inputs, tuple(content for at, content in parts if at == _ATTRIBUTE))
    return None


def attention_graph(found: AttentionNode, shape: ModelShape, dtype: str, *, on_cpu: bool = False) -> bytes:
    """An ONNX model with a decoder's inputs and outputs, whose logits are what an attention gives, for TOKENS ids.

    It computes in `dtype`; logits float32 (1, tokens, heads · head_dim). `on_cpu` leaves out norms of queries and keys,
    which the CPU's attention does not take: those of the table are of length 1 already.
    """
    tables = _tables(shape)
    packed = not found.takes(_KEY)
    parts = {"qkv": np.concatenate(tables, axis=1)} if packed else dict(zip(("q", "k", "v"), tables, strict=True))
    names = [*parts, *[""] * (3 - len(parts)), *_PAST, "seqlens", "total"]
    constants = {name: table.astype(np.float16).astype(dtype) for name, table in parts.items()}
    if found.takes(_COS):
        names += ["cos", "sin"]
        constants |= {name: angles.astype(np.float16).astype(dtype) for name, angles in _angles(shape).items()}
    attributes = found.attributes
    if found.takes(_Q_NORM) and on_cpu:
        attributes = tuple(one for one in attributes if _EPSILON not in one)
    elif found.takes(_Q_NORM):
        names += [""] * (_Q_NORM - len(names)) + ["q_norm", "k_norm"]
        constants |= dict.fromkeys(("q_norm", "k_norm"), np.ones(shape.head_dim, dtype))
    to_float, to_int = (integer("to", ELEMENTS[kind]) for kind in ("float32", "int32"))
    nodes = [
        *(node("Gather", [f"{name}.table", "input_ids"], name) for name in parts),
        node("ReduceSum", ["attention_mask", "one"], "count"),
        node("Sub", ["count", "one"], "last"),
        node("Cast", ["last"], "seqlens", attributes=[to_int]),
        node("Shape", ["attention_mask"], "size"),
        node("Gather", ["size", "one"], "columns"),
        node("Cast", ["columns"], "total", attributes=[to_int]),
        node(ATTENTION, names, "attended", *_PRESENT, attributes=attributes, domain=MICROSOFT),
        node("Cast", ["attended"], LOGITS, attributes=[to_float]),
    ]
    kept = [array(f"{name}.table" if name in parts else name, values) for name, values in constants.items()]
    return model(
        nodes,
        [*(value(name, INT64, 2) for name in ("input_ids", "attention_mask")), *(value(p, dtype, 4) for p in _PAST)],
        [value(LOGITS, "float32", 3), *(value(name, dtype, 4) for name in _PRESENT)],
        [*kept, constant("one", 1)],
    )


def _tables(shape: ModelShape) -> Sequence[NDArray[np.float64]]:
    """Queries, keys and values of every id, (TOKENS, heads · head_dim) each; every head's has a mean square of 1."""
    random = np.random.default_rng(0)

    def made() -> Iterator[NDArray[np.float64]]:
        for heads in (shape.attention_heads, shape.kv_heads, shape.kv_heads):
            values = random.standard_normal((TOKENS, heads, shape.head_dim))
            values /= np.sqrt(np.square(values).mean(-1, keepdims=True))
            yield values.reshape(TOKENS, -1)

    return list(made())


def _angles(shape: ModelShape) -> dict[str, NDArray[np.float64]]:
    """Cosines and sines of each position's angles, (TOKENS, head_dim / 2)."""
    speeds = shape.rope_theta ** -(np.arange(0, shape.head_dim, 2) / shape.head_dim)
    angles = np.outer(np.arange(TOKENS), speeds)
    return {"cos": np.cos(angles), "sin": np.sin(angles)}

"""A graph cut at its layers: which values cross, which are computed again, and what a part reads."""

import numpy as np
import onnx_ir as ir

from thinkport.export.certify.graph_parts import GraphPart, cut, weight_bytes

FLOAT, INT64 = ir.DataType.FLOAT, ir.DataType.INT64


def decoder(layers: int) -> ir.Model:
    """Ids and a mask; each layer adds its cache to what is computed and gives it back, masked."""
    ids, mask = ir.val("input_ids", INT64, ["tokens"]), ir.val("attention_mask", INT64, ["tokens"])
    pasts = [ir.val(f"past_key_values.{layer}.key", FLOAT, ["tokens"]) for layer in range(layers)]
    table = ir.val("table", const_value=ir.tensor(np.arange(10, dtype=np.float32)))
    table.type = ir.TensorType(FLOAT)
    weights, nodes = [table], []

    def node(op_type: str, inputs: list[ir.Value], name: str) -> ir.Value:
        nodes.append(ir.node(op_type, inputs))
        nodes[-1].outputs[0].name = name
        return nodes[-1].outputs[0]

    first = node("Gather", [table, ids], "embedding")
    masked = node("CastLike", [mask, table], "masked")
    hidden, presents = first, []
    for layer, past in enumerate(pasts):
        weight = ir.val(f"weight.{layer}", const_value=ir.tensor(np.ones(3, np.float32)))
        weight.type = ir.TensorType(FLOAT)
        weights.append(weight)
        query = node("Identity", [hidden], f"query.{layer}")
        presents.append(node("Add", [node("Mul", [query, masked], f"turned.{layer}"), past], f"present.{layer}.key"))
        hidden = node("Add", [node("Add", [presents[-1], first], f"sum.{layer}"), weight], f"hidden.{layer}")
    logits = node("Identity", [hidden], "logits")
    graph = ir.Graph(
        [ids, mask, *pasts],
        [logits, *presents],
        nodes=nodes,
        initializers=weights,
        opset_imports={"": 21},
    )
    return ir.Model(graph, ir_version=10)


def names(part: GraphPart) -> tuple[set[str], set[str]]:
    return set(part.inputs), set(part.outputs)


def test_there_is_a_part_up_to_the_first_cache_and_one_for_each() -> None:
    first, second, third = parts = cut(decoder(2))
    assert [part.layers for part in parts] == [0, 1, 1]
    assert names(first) == ({"input_ids", "attention_mask"}, {"turned.0", "embedding"})
    assert names(second) == (
        {"turned.0", "embedding", "past_key_values.0.key", "attention_mask"},
        {"present.0.key", "turned.1"},
    )
    assert names(third) == ({"turned.1", "embedding", "past_key_values.0.key"}, {"present.0.key", "logits"})


def test_what_follows_from_the_mask_alone_is_computed_again_and_not_handed_on() -> None:
    for part in cut(decoder(3)):
        assert "masked" not in part.inputs


def test_a_value_is_kept_as_long_as_a_later_part_takes_it_and_no_longer() -> None:
    assert [set(part.later) for part in cut(decoder(2))] == [
        {"turned.0", "embedding"},
        {"turned.1", "embedding"},
        set(),
    ]


def test_every_weight_is_read_by_the_parts_that_use_it_alone() -> None:
    model = decoder(4)
    parts = cut(model)
    table, weight = 10 * 4, 3 * 4
    assert weight_bytes(model.graph) == table + 4 * weight
    assert [part.weights for part in parts] == [table, *[weight + table] * 3, weight]


def test_the_graph_that_is_cut_stays_as_it_was() -> None:
    model = decoder(2)
    before = ir.to_proto(model).SerializeToString()
    cut(model)
    assert ir.to_proto(model).SerializeToString() == before

"""Projections of one tensor become one: q, k, v behind attention, gate and up in the MLP."""

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired, graph, names_of, normal, ops, run
from tests.export.planned import planned
from tests.export.trace.traced import nano, node, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.packed_projections import PackedGateUp, PackedQkv, Silu
from thinkport.export.pipeline import Pipeline
from thinkport.export.trace.initializers import source_of

MLP = """g (float[1,3,8] x, float[1,3,8] z) => (float[1,3,16] y) {
    gate_t = Transpose<perm=[1,0]>(gate)
    gated = MatMul(x, gate_t)
    up_t = Transpose<perm=[1,0]>(up)
    raised = MatMul(UP_READS, up_t)
    s = Sigmoid(gated)
    silu = Mul(gated, s)
    ["layers.0.mlp.Mul_91"] y = Mul(silu, raised)
}"""
ATTENTION = """g (float[1,3,8] x, float[1,3,8] z) => (float[1,3,16] y) {
    q_t = Transpose<perm=[1,0]>(q_weight)
    q = MatMul(x, q_t)
    k_t = Transpose<perm=[1,0]>(k_weight)
    k = MatMul(x, k_t)
    v_t = Transpose<perm=[1,0]>(v_weight)
    v = MatMul(V_READS, v_t)
    ["layers.0.self_attn.GroupQueryAttention"]
    y = com.microsoft.GroupQueryAttention<num_heads=2, kv_num_heads=1>(q, k, v)
}"""


def mlp(up_reads: str = "x") -> ir.Model:
    return graph(MLP.replace("UP_READS", up_reads), gate=normal(16, 8), up=normal(16, 8))


def attention(v_reads: str = "x") -> ir.Model:
    weights = {"q_weight": normal(16, 8), "k_weight": normal(8, 8), "v_weight": normal(8, 8)}
    return graph(ATTENTION.replace("V_READS", v_reads), **weights)


def weights_of(model: ir.Model) -> dict[str, np.ndarray]:
    return {n: v.const_value.numpy() for n, v in model.graph.initializers.items() if v.const_value is not None}


def before(name: str) -> list[GraphPass]:
    """The pipeline's passes in front of one."""
    family, shape = nano()
    passes = Pipeline(family=family, shape=shape).passes(planned())
    return passes[: [p.name for p in passes].index(name)]


def test_gate_and_up_become_one_projection_with_the_same_numbers() -> None:
    model = mlp()
    weights, feeds = weights_of(model), {"x": normal(1, 3, 8), "z": normal(1, 3, 8)}
    wanted = run(model, feeds)["y"]
    assert PackedGateUp().rewrite(model) == ["layers.0.mlp.gate_up_proj.Split"]
    CleanUp().rewrite(model)
    assert ops(model).count("MatMul") == 1
    np.testing.assert_allclose(run(model, feeds, weights)["y"], wanted, rtol=1e-5, atol=1e-5)


def test_an_activation_that_is_one_node_already_is_packed_too() -> None:
    model = mlp()
    Silu().rewrite(model)
    assert PackedGateUp().rewrite(model) == ["layers.0.mlp.gate_up_proj.Split"]


BIASED = ATTENTION
for part in "qkv":
    BIASED = BIASED.replace(f"{part} = MatMul", f"{part}_product = MatMul")
BIASED = BIASED.replace(
    '["layers', 'q = Add(q_product, q_bias)  k = Add(k_product, k_bias)  v = Add(v_bias, v_product)  ["layers'
).replace("V_READS", "x")
BIASES = {"q_bias": normal(16), "k_bias": normal(8), "v_bias": normal(8)}
WEIGHTS = {"q_weight": normal(16, 8), "k_weight": normal(8, 8), "v_weight": normal(8, 8)}


def test_biases_of_query_key_and_value_are_packed_as_their_weights_are() -> None:
    model = graph(BIASED, **WEIGHTS, **BIASES)
    assert PackedQkv().rewrite(model) == ["layers.0.self_attn.qkv_proj.Split"]
    CleanUp().rewrite(model)
    assert ops(model) == ["Transpose", "MatMul", "Add", "Split", "GroupQueryAttention"]
    bias = source_of(model.graph.initializers["model.layers.0.self_attn.qkv_proj.bias"])
    assert bias is not None
    assert bias.tensors == tuple(BIASES)


def test_a_bias_on_one_projection_alone_is_refused_by_name() -> None:
    text = BIASED.replace("q = Add(q_product, q_bias)", "").replace("q_product", "q")
    packing = PackedQkv()
    assert packing.rewrite(graph(text, **WEIGHTS, k_bias=BIASES["k_bias"], v_bias=BIASES["v_bias"])) == []
    assert "has a bias and another projection has none" in packing.misses[0][1]


def test_query_key_and_value_become_row_ranges_of_one_weight_in_that_order() -> None:
    model = attention()
    assert PackedQkv().rewrite(model) == ["layers.0.self_attn.qkv_proj.Split"]
    CleanUp().rewrite(model)
    assert ops(model) == ["Transpose", "MatMul", "Split", "GroupQueryAttention"]
    packed = model.graph.initializers["model.layers.0.self_attn.qkv_proj.weight"]
    source = source_of(packed)
    assert source is not None
    assert source.tensors == ("q_weight", "k_weight", "v_weight")
    assert packed.shape == ir.Shape([16 + 8 + 8, 8])
    split = model.graph[2]
    assert split.inputs[1] is model.graph.initializers["split_16_8_8"]
    assert list(model.graph[3].inputs) == list(split.outputs)


@pytest.mark.parametrize(("graph_pass", "model"), [(PackedGateUp(), mlp("z")), (PackedQkv(), attention("z"))])
def test_projections_of_different_tensors_are_left_alone(graph_pass: GraphPass, model: ir.Model) -> None:
    unchanged = ops(model)
    assert graph_pass.rewrite(model) == []
    assert ops(model) == unchanged


def test_the_product_of_two_projections_without_an_activation_is_left_alone() -> None:
    model = mlp()
    node(model, "layers.0.mlp.Mul_91").replace_input_with(0, model.graph[1].outputs[0])
    assert PackedGateUp().rewrite(model) == []


@pytest.mark.parametrize("graph_pass", [PackedQkv(), PackedGateUp()], ids=lambda p: p.name)
def test_every_layer_of_a_traced_model_fires(graph_pass: GraphPass) -> None:
    model = traced(3, *before(graph_pass.name))
    assert fired(graph_pass, model) == 3
    assert len([name for name in names_of(model, "Split") if "layers." in name]) >= 3


@pytest.mark.parametrize(
    ("graph_pass", "projection"), [(PackedQkv(), "k_proj.MatMul_19"), (PackedGateUp(), "up_proj.MatMul_90")]
)
def test_a_projection_of_something_else_fails_the_export_naming_the_layer(
    graph_pass: GraphPass, projection: str
) -> None:
    model = traced(2, *before(graph_pass.name))
    matmul = next(n for n in model.graph if (n.name or "").startswith("layers.1.") and projection in (n.name or ""))
    matmul.replace_input_with(0, node(model, "node_embedding").outputs[0])
    with pytest.raises(GraphError, match=f"in layer 1, expected 1; .*{projection} reads embedding, expected"):
        graph_pass(model)

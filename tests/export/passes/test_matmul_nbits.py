"""Projections and embedding in their quantized forms."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from tests.export.passes.graphs import fired, graph, names_of, normal, ops, run, without_values
from tests.export.trace.traced import nano, node, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.last_rows import LastRows
from thinkport.export.passes.quantized_matrices import MatMulNBits
from thinkport.export.quantize.packing import dequantize, pack
from thinkport.export.quantize.recipes import ModelRecipe, Role, RoleRecipe
from thinkport.export.quantize.rounding import quantize_rows
from thinkport.export.trace.initializers import source_of

EXACT = RoleRecipe(group_size=32, accuracy_level=0)
PROJECTION = """g (float[1,3,64] x) => (float[1,3,16] y) {
    t = Transpose<perm=[1,0]>(weight)
    ["layers.0.mlp.down_proj.MatMul_93"] y = MatMul(x, t)
}"""
TIED = """g (int64[1,3] ids) => (float[1,3,16] y) {
    ["node_embedding"] x = Gather(weight, ids)
    t = Transpose<perm=[1,0]>(weight)
    ["lm_head.MatMul"] y = MatMul(x, t)
}"""


def mlp(name: str) -> Role:
    return "mlp"


def table(name: str) -> Role:
    return "embedding"


def quantizer(how: RoleRecipe, role: Any = mlp, *, tied: bool = False, projections: int = 1) -> MatMulNBits:
    recipe = ModelRecipe(name="test", summary="of a test", layers=how)
    return MatMulNBits(recipe=recipe, role=role, per_layer=projections, tied=tied)


def filled(weight: NDArray[np.float32], how: RoleRecipe, *names: str) -> dict[str, NDArray[Any]]:
    """Codes and scales by the initializers' names, as the writer would put them there."""
    rounded = quantize_rows(weight, bits=how.bits, group_size=how.group_size)
    codes = pack(rounded.codes, bits=how.bits, group_size=how.group_size)
    found: dict[str, NDArray[Any]] = {"weight.qweight": codes, "weight.table": codes.reshape(len(codes), -1)}
    return {name: found[name] for name in names} | {"weight.scales": rounded.scales}


@pytest.mark.parametrize(
    ("how", "bound"),
    [(EXACT, 1e-5), (RoleRecipe(group_size=64, accuracy_level=4), 2e-2), (RoleRecipe(bits=8, group_size=32), 2e-2)],
    ids=["4 bits", "4 bits on int8", "8 bits on int8"],
)
def test_a_projection_gives_what_its_rounded_weights_give(how: RoleRecipe, bound: float) -> None:
    weight, feeds = normal(16, 64), {"x": normal(1, 3, 64)}
    model = without_values(graph(PROJECTION, weight=weight), "weight")
    assert quantizer(how).rewrite(model) == ["layers.0.mlp.down_proj.MatMulNBits"]
    CleanUp().rewrite(model)
    assert ops(model) == ["MatMulNBits"]
    parts = filled(weight, how, "weight.qweight")
    wanted = feeds["x"] @ dequantize(parts["weight.qweight"], parts["weight.scales"], bits=how.bits).T
    found = run(model, feeds, parts)["y"]
    assert np.abs(found - wanted).max() <= bound * np.abs(wanted).max()


@pytest.mark.parametrize(("taken", "wanted"), [(True, ["MatMulNBits"]), (False, ["MatMulNBits", "Add"])])
def test_a_bias_goes_into_the_operator_where_it_takes_one(taken: bool, wanted: list[str]) -> None:
    text = PROJECTION.replace("y = MatMul(x, t)", "p = MatMul(x, t)  y = Add(p, bias)")
    weight, bias, feeds = normal(16, 64), normal(16), {"x": normal(1, 3, 64)}
    model = without_values(graph(text, weight=weight, bias=bias), "weight")
    replace(quantizer(EXACT), bias=taken).rewrite(model)
    CleanUp().rewrite(model)
    assert ops(model) == wanted
    parts = filled(weight, EXACT, "weight.qweight")
    expected = feeds["x"] @ dequantize(parts["weight.qweight"], parts["weight.scales"], bits=4).T + bias
    found = run(model, feeds, parts | {"bias": bias})["y"]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_product_that_is_read_without_its_bias_too_keeps_the_addition() -> None:
    text = """g (float[1,3,64] x) => (float[1,3,16] y, float[1,3,16] z) {
        t = Transpose<perm=[1,0]>(weight)
        p = MatMul(x, t)
        y = Add(p, bias)
        z = Neg(p)
    }"""
    model = without_values(graph(text, weight=normal(16, 64), bias=normal(16)), "weight")
    replace(quantizer(EXACT), bias=True).rewrite(model)
    CleanUp().rewrite(model)
    assert ops(model) == ["MatMulNBits", "Add", "Neg"]


def test_a_tied_table_is_stored_once_and_read_in_two_shapes() -> None:
    weight, ids = normal(16, 64), np.random.default_rng().integers(0, 16, (1, 3))
    model = without_values(graph(TIED, weight=weight), "weight")
    assert len(quantizer(EXACT, table, tied=True).rewrite(model)) == 2
    CleanUp().rewrite(model)
    assert ops(model) == ["GatherBlockQuantized", "MatMulNBits"]
    initializers = model.graph.initializers
    assert [initializers[name].shape for name in ("weight.table", "weight.qweight")] == [
        ir.Shape([16, 32]),
        ir.Shape([16, 2, 16]),
    ]
    assert source_of(initializers["weight.table"]) == source_of(initializers["weight.qweight"])
    assert {source_of(value) for value in initializers.values() if source_of(value)} == {
        source_of(initializers[name]) for name in ("weight.table", "weight.scales")
    }
    parts = filled(weight, EXACT, "weight.qweight", "weight.table")
    rounded = dequantize(parts["weight.qweight"], parts["weight.scales"], bits=4)
    np.testing.assert_allclose(run(model, {"ids": ids}, parts)["y"], rounded[ids] @ rounded.T, rtol=1e-4, atol=1e-3)


def test_untied_tables_go_by_their_own_rows_of_the_recipe() -> None:
    recipe = ModelRecipe(
        name="test", summary="", roles={"lm_head": RoleRecipe(bits=8), "embedding": RoleRecipe(group_size=32)}
    )
    roles: dict[str, Role] = {"weight": "embedding", "head": "lm_head"}
    text = TIED.replace("(weight)", "(head)")
    model = without_values(graph(text, weight=normal(16, 64), head=normal(16, 64)), "weight", "head")
    MatMulNBits(recipe=recipe, role=roles.__getitem__, per_layer=0, tied=False).rewrite(model)
    gather, head = (node for node in model.graph if node.domain == "com.microsoft")
    assert (gather.attributes["bits"].as_int(), gather.attributes["block_size"].as_int()) == (4, 32)
    assert (head.attributes["bits"].as_int(), head.attributes["block_size"].as_int()) == (8, 64)


def test_every_projection_and_the_table_of_a_traced_model_fire() -> None:
    family, shape = nano(3)
    recipe = ModelRecipe(name="test", summary="")
    graph_pass = MatMulNBits(recipe=recipe, role=family.role, per_layer=7, tied=shape.tied)
    model = traced(3, LastRows())
    assert fired(graph_pass, model) == 3 * 7 + 2
    assert len(names_of(model, "MatMul")) == 3 * 2  # q·k and weights·v


@pytest.mark.parametrize(
    "text",
    [
        "g (float[1,3,64] x, float[1,64,16] z) => (float[1,3,16] y) { y = MatMul(x, z) }",
        "g (float[1,3,64] x, float[16,64] z) => (float[1,3,16] y) { t = Transpose<perm=[1,0]>(z)  y = MatMul(x, t) }",
        "g (float[16,64] x, int64[3] ids) => (float[3,64] y) { y = Gather(x, ids) }",
    ],
    ids=["two computed tensors", "a computed tensor transposed", "a lookup in a computed tensor"],
)
def test_what_has_no_weight_is_left_alone(text: str) -> None:
    model = graph(text)
    unchanged = ops(model)
    assert quantizer(EXACT).rewrite(model) == []
    assert ops(model) == unchanged


def test_a_matrix_of_a_role_that_is_never_rounded_is_left_alone() -> None:
    model = without_values(graph(PROJECTION, weight=normal(16, 64)), "weight")
    assert quantizer(EXACT, lambda name: "bias").rewrite(model) == []
    assert ops(model) == ["Transpose", "MatMul"]


def test_a_projection_that_stays_fails_the_export_naming_the_layer() -> None:
    family, _ = nano()
    model = traced(2, LastRows())
    node(model, "layers.1.mlp.down_proj.Transpose_92").op_type = "Identity"
    graph_pass = MatMulNBits(recipe=ModelRecipe(name="test", summary=""), role=family.role, per_layer=7, tied=True)
    with pytest.raises(GraphError, match="pass matmul_nbits fired 6 times in layer 1, expected 7"):
        graph_pass(model)

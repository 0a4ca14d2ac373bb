"""RMS norm spelled out becomes one node, and nothing else does."""

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired, graph, integers, normal, number, ops, run
from tests.export.trace.traced import node, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.norms import RmsNorm

SPELLED_OUT = """g (float[2,3,8] x, float[2,3,8] z, float[8] computed) => (float[2,3,8] y) {
    square = Pow(SQUARED, power)
    mean = ReduceMean<keepdims=1>(square, axis)
    total = Add(mean, epsilon)
    root = Sqrt(total)
    inverse = Reciprocal(root)
    scaled = Mul(x, inverse)
    ["layers.0.norm.Mul_6"] y = Mul(WEIGHT, scaled)
}"""


def spelled_out(power: float = 2.0, axis: int = -1, squared: str = "x", weight: str = "weight") -> ir.Model:
    text = SPELLED_OUT.replace("SQUARED", squared).replace("WEIGHT", weight)
    constants = {"power": number(power), "axis": integers(axis), "epsilon": number(1e-6), "weight": normal(8)}
    return graph(text, **constants)


def test_a_norm_spelled_out_becomes_one_node_with_the_same_numbers() -> None:
    model = spelled_out()
    feeds = {"x": 3 * normal(2, 3, 8), "z": normal(2, 3, 8), "computed": normal(8)}
    before = run(model, feeds)["y"]
    assert RmsNorm(per_layer=4).rewrite(model) == ["layers.0.norm.SimplifiedLayerNormalization"]
    CleanUp().rewrite(model)
    assert ops(model) == ["SimplifiedLayerNormalization"]
    np.testing.assert_allclose(run(model, feeds)["y"], before, rtol=1e-5, atol=1e-6)


def test_every_norm_of_a_traced_model_fires() -> None:
    assert fired(RmsNorm(per_layer=4), traced(3)) == 3 * 4 + 1


@pytest.mark.parametrize(
    "change",
    [{"power": 3.0}, {"axis": 1}, {"squared": "z"}, {"weight": "computed"}],
    ids=["another exponent", "another axis", "the mean of another tensor", "a weight that is no weight"],
)
def test_what_only_looks_like_a_norm_is_left_alone(change: dict[str, float | str]) -> None:
    model = spelled_out(**change)  # type: ignore[arg-type]
    before = ops(model)
    assert RmsNorm(per_layer=4).rewrite(model) == []
    assert ops(model) == before


def test_a_norm_that_does_not_fire_fails_the_export_naming_the_layer() -> None:
    model = traced()
    node(model, "layers.1.self_attn.k_norm.Sqrt_24").op_type = "Exp"
    reason = r"\S+Add_23 is read by Exp \S+k_norm.Sqrt_24, expected one Sqrt"
    with pytest.raises(GraphError, match=f"rms_norm fired 3 times in layer 1, expected 4; {reason}:"):
        RmsNorm(per_layer=4)(model)

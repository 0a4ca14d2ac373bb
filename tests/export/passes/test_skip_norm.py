"""A residual addition and the norm behind it become one node."""

import numpy as np
import pytest
from tests.export.passes.graphs import fired, graph, normal, ops, run
from tests.export.trace.traced import node, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.norms import RmsNorm, SkipNorm

NORM = '["layers.0.norm.Mul"] y = SimplifiedLayerNormalization<axis=-1, epsilon=0.00001, stash_type=1>'


def test_sum_and_norm_become_one_node_with_the_same_numbers() -> None:
    text = f"g (float[1,3,8] a, float[1,3,8] b) => (float[1,3,8] y, float[1,3,8] s) {{ s = Add(a, b)  {NORM}(s, w) }}"
    model = graph(text, w=normal(8))
    feeds = {"a": normal(1, 3, 8), "b": normal(1, 3, 8)}
    before = run(model, feeds)
    assert SkipNorm().rewrite(model) == ["layers.0.norm.SkipSimplifiedLayerNormalization"]
    assert ops(model) == ["SkipSimplifiedLayerNormalization"]
    after = run(model, feeds)
    np.testing.assert_array_equal(after["s"], before["s"])
    np.testing.assert_allclose(after["y"], before["y"], rtol=1e-5, atol=1e-6)


def test_every_norm_of_the_residual_stream_but_the_first_fires() -> None:
    model = traced(3, RmsNorm(per_layer=4))
    assert fired(SkipNorm(), model) == 2 * 3
    assert ops(model).count("SimplifiedLayerNormalization") == 1 + 2 * 3  # the first one's and the heads'


@pytest.mark.parametrize(
    "body",
    [f"{NORM}(a, w)", f"s = Add(a, bias)  {NORM}(s, w)", f"s = Mul(a, b)  {NORM}(s, w)"],
    ids=["no sum", "a bias", "a product"],
)
def test_a_norm_of_anything_but_two_computed_tensors_is_left_alone(body: str) -> None:
    text = f"g (float[1,3,8] a, float[1,3,8] b) => (float[1,3,8] y) {{ {body} }}"
    model = graph(text, w=normal(8), bias=normal(8))
    before = ops(model)
    assert SkipNorm().rewrite(model) == []
    assert ops(model) == before


def test_a_residual_that_is_no_sum_fails_the_export_naming_the_layer() -> None:
    model = traced(3, RmsNorm(per_layer=4))
    node(model, "layers.2.Add_77").op_type = "Sub"
    with pytest.raises(
        GraphError,
        match=r"skip_norm fired 1 times in layer 2, expected 2; input of [^;]*found Sub layers.2.Add_77, expected Add:",
    ):
        SkipNorm()(model)

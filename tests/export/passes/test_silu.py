"""x · sigmoid(x) becomes one node, a gate stays two."""

import numpy as np
import pytest
from tests.export.passes.graphs import fired, graph, normal, ops, run
from tests.export.trace.traced import node, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.packed_projections import Silu


@pytest.mark.parametrize("product", ["Mul(x, s)", "Mul(s, x)"])
def test_a_tensor_times_its_own_sigmoid_becomes_one_node_with_the_same_numbers(product: str) -> None:
    model = graph(
        f'g (float[2,8] x) => (float[2,8] y) {{ s = Sigmoid(x) ["layers.0.mlp.act_fn.Mul_1"] y = {product} }}'
    )
    feeds = {"x": 4 * normal(2, 8)}
    before = run(model, feeds)["y"]
    assert Silu().rewrite(model) == ["layers.0.mlp.act_fn.QuickGelu"]
    CleanUp().rewrite(model)
    assert ops(model) == ["QuickGelu"]
    np.testing.assert_allclose(run(model, feeds)["y"], before, rtol=1e-5, atol=1e-6)


def test_every_layer_of_a_traced_model_fires() -> None:
    assert fired(Silu(), traced(3)) == 3


def test_a_gate_by_another_tensors_sigmoid_is_left_alone() -> None:
    model = graph("g (float[2,8] x, float[2,8] z) => (float[2,8] y) { s = Sigmoid(z)  y = Mul(x, s) }")
    assert Silu().rewrite(model) == []
    assert ops(model) == ["Sigmoid", "Mul"]


def test_another_activation_fails_the_export_naming_the_layer() -> None:
    model = traced()
    node(model, "layers.1.mlp.act_fn.Sigmoid_87").op_type = "Tanh"
    with pytest.raises(GraphError, match="pass silu fired 0 times in layer 1, expected 1; no Sigmoid is there:"):
        Silu()(model)


def test_a_gate_fails_the_export_naming_the_product() -> None:
    model = traced()
    sigmoid = node(model, "layers.1.mlp.act_fn.Sigmoid_87")
    sigmoid.replace_input_with(0, node(model, "node_embedding").outputs[0])
    with pytest.raises(GraphError, match=r"in layer 1, expected 1; \S+act_fn.Mul_88 multiplies \S+ by a sigmoid"):
        Silu()(model)

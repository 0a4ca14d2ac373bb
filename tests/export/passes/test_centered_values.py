"""Values are kept less a center, and what the graph computes stays the same."""

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired, ops
from tests.export.passes.test_attention import attention
from tests.export.trace.traced import nano, node, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.centered_values import CenteredValues
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.norms import QkNorm, RmsNorm
from thinkport.export.passes.packed_projections import PackedQkv
from thinkport.export.quantize.kv_scales import ValueCenters

LAYERS = 2


def centers() -> ValueCenters:
    _, shape = nano()
    rng = np.random.default_rng()
    values = rng.standard_normal((LAYERS, shape.kv_heads, shape.head_dim)).astype(np.float32)
    outputs = rng.standard_normal((LAYERS, shape.hidden_size)).astype(np.float32)
    return ValueCenters(values=list(values), outputs=list(outputs))


def shift_of(made: ir.Value | None) -> np.ndarray:
    """The constant that an Add adds to a value."""
    assert made is not None
    add = made.producer()
    assert add is not None
    assert add.op_type == "Add"
    shift = add.inputs[1]
    assert shift is not None
    assert shift.const_value is not None
    return shift.const_value.numpy()


@pytest.mark.parametrize("packed", [False, True])
def test_values_lose_their_center_and_outputs_get_it_back(*, packed: bool) -> None:
    model, given = (
        traced(LAYERS, RmsNorm(per_layer=4), attention(), CleanUp(), *([PackedQkv()] if packed else [])),
        centers(),
    )
    before = ops(model)
    assert fired(CenteredValues(centers=given), model) == LAYERS
    assert ops(model).count("Add") == before.count("Add") + 2 * LAYERS
    for layer in range(LAYERS):
        made = node(model, f"layers.{layer}.self_attn.GroupQueryAttention")
        value = made.inputs[2]
        assert value is not None
        split = value.producer()
        assert split is not None
        shift = shift_of(split.inputs[0] if packed else value)
        size = given.values[layer].size
        np.testing.assert_array_equal(shift[-size:], -given.values[layer].reshape(-1))
        assert not shift[:-size].any()
        (product,) = (use.node for use in made.outputs[0].uses())
        (added,) = (use.node for use in product.outputs[0].uses())
        np.testing.assert_array_equal(shift_of(added.outputs[0]), given.outputs[layer])


def test_a_projection_that_goes_into_attention_whole_is_shifted_in_its_last_rows() -> None:
    model, given = traced(LAYERS, RmsNorm(per_layer=4), attention(), CleanUp(), PackedQkv(), QkNorm()), centers()
    CenteredValues(centers=given)(model)
    shift = shift_of(node(model, "layers.1.self_attn.GroupQueryAttention").inputs[0])
    np.testing.assert_array_equal(shift[-given.values[1].size :], -given.values[1].reshape(-1))
    assert not shift[: -given.values[1].size].any()


def test_attention_that_is_spelled_out_is_refused() -> None:
    with pytest.raises(GraphError, match="pass centered_values fired 0 times in layer 0, expected 1"):
        CenteredValues(centers=centers())(traced(LAYERS, RmsNorm(per_layer=4)))


def test_a_cache_that_is_no_input_of_the_graph_is_left_alone_and_the_layer_named() -> None:
    model = traced(LAYERS, RmsNorm(per_layer=4), attention(), CleanUp())
    made = node(model, "layers.1.self_attn.GroupQueryAttention")
    past = made.inputs[3]
    assert past is not None
    copied = ir.node("Identity", [past], name="copy")
    made.replace_input_with(3, copied.outputs[0])
    model.graph.insert_before(made, [copied])
    with pytest.raises(GraphError, match="pass centered_values fired 0 times in layer 1, expected 1"):
        CenteredValues(centers=centers())(model)

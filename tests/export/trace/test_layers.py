"""Two traced layers laid out to any depth, if they are alike."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import run
from tests.export.trace.traced import nano, node, random_weights, traced

from thinkport.export.errors import GraphError
from thinkport.export.trace import names
from thinkport.export.trace.initializers import source_of
from thinkport.export.trace.layers import lay_out_layers


def size(layers: int) -> int:
    return len(list(traced(layers).graph))


def test_a_graphs_size_is_its_depth_times_a_layer_and_the_rest() -> None:
    two, three = size(2), size(3)
    layer = three - two
    assert layer == 95
    assert size(28) == two + 26 * layer


@pytest.mark.parametrize("layers", [3, 28])
def test_every_weight_of_every_layer_is_there_once(layers: int) -> None:
    family, shape = nano(layers)
    found = Counter(
        name
        for value in traced(layers).graph.initializers.values()
        if (source := source_of(value)) is not None
        for name in source.tensors
    )
    assert found == Counter([*family.expected_tensors(shape), family.frequencies_name])


def test_every_weight_has_the_shape_that_the_family_expects_and_a_reader() -> None:
    family, shape = nano(4)
    initializers = traced(4).graph.initializers
    for name, expected in family.expected_tensors(shape).items():
        assert initializers[name].shape == ir.Shape(expected)
        assert initializers[name].uses()


def test_a_layer_reads_the_one_before_it_and_the_tail_reads_the_last() -> None:
    weights, generator = random_weights(4), np.random.default_rng()
    cache = {
        f"past_key_values.{layer}.{part}": generator.normal(size=(1, 2, 3, 128)).astype(np.float32)
        for layer in range(4)
        for part in ("key", "value")
    }
    feeds = {"input_ids": generator.integers(0, 512, (1, 2)), "attention_mask": np.ones((1, 5), np.int64)} | cache
    before = run(traced(4), feeds, weights)
    for layer in range(4):
        changed = dict(weights)
        name = f"model.layers.{layer}.mlp.down_proj.weight"
        changed[name] = generator.normal(size=weights[name].shape).astype(np.float32)
        after = run(traced(4), feeds, changed)
        moved = [n for n in range(4) if not np.array_equal(before[f"present.{n}.key"], after[f"present.{n}.key"])]
        assert moved == list(range(layer + 1, 4))
        assert not np.array_equal(before["logits"], after["logits"])


def test_the_layout_is_the_same_every_time() -> None:
    first, second = traced(5), traced(5)
    assert [value.name for value in first.graph.inputs] == [value.name for value in second.graph.inputs]
    assert list(first.graph.initializers) == list(second.graph.initializers)
    order = [name for name in first.graph.initializers if names.layer_of(name) is not None]
    by_layer = [[n.split(f".{k}.", 1)[1] for n in order if names.layer_of(n) == k] for k in range(5)]
    assert by_layer[1] == by_layer[2] == by_layer[4]


def another_operator(model: ir.Model) -> None:
    node(model, "layers.1.mlp.act_fn.Sigmoid_87").op_type = "Tanh"


def another_attribute(model: ir.Model) -> None:
    node(model, "layers.1.self_attn.Transpose_32").attributes["perm"] = ir.AttrInt64s("perm", [0, 1, 2, 3])


def another_constant(model: ir.Model) -> None:
    add = node(model, "layers.1.input_layernorm.Add_2")
    epsilon = ir.Value(name="epsilon", const_value=ir.tensor(np.array(1e-5, np.float32), name="epsilon"))
    model.graph.register_initializer(epsilon)
    add.replace_input_with(1, epsilon)


def another_wiring(model: ir.Model) -> None:
    up = node(model, "layers.1.mlp.up_proj.MatMul_90")
    up.replace_input_with(0, node(model, "layers.1.Add_77").outputs[0])


def anothers_weight(model: ir.Model) -> None:
    transpose = node(model, "layers.1.mlp.up_proj.Transpose_89")
    transpose.replace_input_with(0, model.graph.initializers["model.layers.1.mlp.gate_proj.weight"])


def another_width(model: ir.Model) -> None:
    for part in ("gate", "up"):
        model.graph.initializers[f"model.layers.1.mlp.{part}_proj.weight"].shape = ir.Shape([512, 256])


def two_values_cross(model: ir.Model) -> None:
    last = node(model, "layers.1.Add_94")
    last.replace_input_with(0, node(model, "layers.0.Add_77").outputs[0])


def one_node_more(model: ir.Model) -> None:
    last = node(model, "layers.1.Add_94")
    negated = ir.node("Neg", [last.inputs[1]], name="layers.1.mlp.Neg")
    negated.metadata_props.update(last.metadata_props)
    model.graph.insert_before(last, negated)
    last.replace_input_with(1, negated.outputs[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (another_operator, "layers 0 and 1 differ at layers.0.mlp.act_fn.Sigmoid_87"),
        (another_attribute, "layers 0 and 1 differ at layers.0.self_attn.Transpose_32"),
        (another_constant, "wired differently at layers.0.input_layernorm.Add_2"),
        (another_wiring, "wired differently at layers.0.mlp.up_proj.MatMul_90"),
        (anothers_weight, "wired differently at layers.0.mlp.up_proj.Transpose_89"),
        (another_width, "wired differently at layers.0.mlp.gate_proj.Transpose_85"),
        (two_values_cross, "layer 1 takes 2 values from layer 0"),
        (one_node_more, "layer 0 has 95 nodes and layer 1 has 96"),
    ],
)
def test_layers_that_are_not_alike_are_refused(change: Callable[[ir.Model], None], message: str) -> None:
    model = traced()
    change(model)
    with pytest.raises(GraphError, match=message):
        lay_out_layers(model, 2, 3)

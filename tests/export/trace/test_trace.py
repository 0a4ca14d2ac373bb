"""Tracing: names, dynamic dimensions, and no weight touched."""

import json
from collections import Counter

import onnx_ir as ir
from tests.export.trace.traced import NANO, nano, traced

from thinkport.export.trace import names
from thinkport.export.trace.names import OPSET
from thinkport.export.trace.trace import trace


def dims(value: ir.Value) -> list[str]:
    return [str(dim) for dim in value.shape or ()]


def test_no_weight_has_a_value() -> None:
    """Nothing could have read one: the family gives the tracer sizes alone, on the meta device."""
    family, shape = nano()
    model = traced()
    weights = {name for name, value in model.graph.initializers.items() if value.const_value is None}
    assert weights == {*family.expected_tensors(shape), family.frequencies_name}
    largest = max(v.const_value.size for v in model.graph.initializers.values() if v.const_value is not None)
    assert largest == 1


def test_inputs_and_outputs_have_the_ecosystems_names_and_dynamic_dimensions() -> None:
    model = traced(3)
    cache = [(layer, part) for layer in range(3) for part in ("key", "value")]
    assert [value.name for value in model.graph.inputs] == [
        "input_ids",
        "attention_mask",
        *(f"past_key_values.{layer}.{part}" for layer, part in cache),
    ]
    assert [value.name for value in model.graph.outputs] == [
        "logits",
        *(f"present.{layer}.{part}" for layer, part in cache),
    ]
    ids, mask, *past = model.graph.inputs
    logits, *present = model.graph.outputs
    assert (dims(ids), dims(mask)) == (["batch_size", "sequence"], ["batch_size", "total"])
    assert dims(logits) == ["batch_size", "sequence", "512"]
    assert {tuple(dims(value)) for value in past} == {("batch_size", "2", "past", "128")}
    assert {tuple(dims(value)) for value in present} == {("batch_size", "2", "total", "128")}


def test_the_opset_is_one_that_every_target_takes() -> None:
    assert traced().graph.opset_imports[""] == OPSET


def test_the_rotary_frequencies_are_a_buffer_that_the_angles_are_made_from() -> None:
    family, _ = nano()
    frequencies = traced().graph.initializers[family.frequencies_name]
    assert frequencies.shape == ir.Shape([64])
    assert [use.node.op_type for use in frequencies.uses()] == ["Mul"]


def test_nodes_are_named_by_layer_module_and_operator() -> None:
    model = traced(3)
    named = [node.name or "" for node in model.graph]
    assert len(set(named)) == len(named)
    for layer in range(3):
        prefix = f"layers.{layer}."
        assert f"{prefix}self_attn.q_proj.MatMul_8" in named
        assert f"{prefix}mlp.act_fn.Sigmoid_87" in named
        assert all(names.layer_of(name) == layer for name in named if name.startswith(prefix))
    counts = Counter(names.layer_of(name) for name in named)
    assert counts[1] == counts[2]
    reads = {
        names.layer_of(value.name or "")
        for node in model.graph
        if (node.name or "").startswith("layers.2.")
        for value in node.inputs
        if value is not None and value.is_initializer()
    }
    assert reads == {None, 2}  # constants, and its own weights


def test_a_model_is_traced_the_same_each_time() -> None:
    family, shape = nano()
    config = json.loads((NANO / "config.json").read_text(encoding="utf-8"))
    first, second = (
        ir.to_proto(model).SerializeToString(deterministic=True) for model in (traced(), trace(family, config, shape))
    )
    assert first == second

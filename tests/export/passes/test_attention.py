"""Attention spelled out becomes GroupQueryAttention, if it is the decoder's own and no other."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired, names_of, ops
from tests.export.trace.traced import nano, node, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.attention import Attention
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.norms import RmsNorm


def attention(*, rotary_inside: bool = True) -> Attention:
    _, shape = nano()
    return Attention(shape=shape, rotary_inside=rotary_inside)


def test_every_layer_of_a_traced_model_fires_and_nothing_of_the_spelling_stays() -> None:
    model = traced(3, RmsNorm(per_layer=4))
    assert fired(attention(), model) == 3
    CleanUp()(model)
    assert names_of(model, "GroupQueryAttention") == [f"layers.{n}.self_attn.GroupQueryAttention" for n in range(3)]
    spelled = {"Softmax", "Cos", "Sin", "Where", "Expand", "Range", "CumSum", "Concat", "Slice", "Unsqueeze"}
    assert spelled.isdisjoint(ops(model))


def test_the_operator_gets_its_heads_scale_cache_lengths_and_tables() -> None:
    model = traced(2, RmsNorm(per_layer=4), attention())
    fused = node(model, "layers.1.self_attn.GroupQueryAttention")
    assert fused.attributes["num_heads"].as_int() == 4
    assert fused.attributes["kv_num_heads"].as_int() == 2
    assert fused.attributes["do_rotary"].as_int() == 1
    assert fused.attributes["scale"].as_float() == pytest.approx(128**-0.5)
    names = [value.name for value in fused.inputs[3:] if value is not None]
    cache = ["past_key_values.1.key", "past_key_values.1.value"]
    assert names == [*cache, "seqlens_k", "total_sequence_length", "cos_cache", "sin_cache"]
    assert [value.name for value in fused.outputs[1:]] == ["present.1.key", "present.1.value"]
    assert model.graph.initializers["cos_cache"].shape == ir.Shape([8192, 64])


def swap_inputs(model: ir.Model, name: str) -> None:
    changed = node(model, name)
    first, second = changed.inputs[:2]
    changed.replace_input_with(0, second)
    changed.replace_input_with(1, first)


def not_causal(model: ir.Model) -> None:
    next(n for n in model.graph if n.op_type == "LessOrEqual").op_type = "GreaterOrEqual"


def looking_ahead(model: ir.Model) -> None:
    swap_inputs(model, next(n.name or "" for n in model.graph if n.op_type == "LessOrEqual"))


def another_mask(model: ir.Model) -> None:
    compared = next(n for n in model.graph if n.op_type == "Greater")
    compared.replace_input_with(0, model.graph.inputs[0])


def windowed(model: ir.Model) -> None:
    both = next(n for n in model.graph if n.op_type == "And")
    near = ir.node("And", [both.outputs[0], both.inputs[0]], name="window")
    users = [use for use in both.outputs[0].uses() if use.node is not near]
    for use in users:
        use.node.replace_input_with(use.idx, near.outputs[0])
    model.graph.insert_after(both, near)


def soft(model: ir.Model) -> None:
    where = next(n for n in model.graph if n.op_type == "Where" and not (n.name or "").startswith("layers."))
    blocked = where.inputs[2]
    assert blocked is not None
    blocked.const_value = ir.tensor(np.array(-5.0, np.float32), name=blocked.name)


@pytest.mark.parametrize("change", [not_causal, looking_ahead, another_mask, windowed, soft])
def test_attention_under_another_mask_is_left_alone(change: Callable[[ir.Model], None]) -> None:
    model = traced(2, RmsNorm(per_layer=4))
    change(model)
    unchanged = ops(model)
    assert attention().rewrite(model) == []
    assert ops(model) == unchanged


def unturned_key(model: ir.Model) -> None:
    """k's second product takes the cosine where the sine belongs."""
    node(model, "layers.1.self_attn.Mul_45").replace_input_with(1, node(model, "layers.1.self_attn.Mul_40").inputs[1])


def uncached_value(model: ir.Model) -> None:
    unsqueeze = node(model, "layers.1.self_attn.Unsqueeze_52")
    unsqueeze.replace_input_with(0, node(model, "layers.1.self_attn.Transpose_32").outputs[0])


def hard_choice(model: ir.Model) -> None:
    node(model, "layers.1.self_attn.Softmax_68").op_type = "Hardmax"


def mask_behind_softmax(model: ir.Model) -> None:
    scores = node(model, "layers.1.self_attn.Add_67")
    node(model, "layers.1.self_attn.Softmax_68").replace_input_with(0, scores.inputs[0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (unturned_key, r"Add_46 rotates key by \['Cos', 'Cos'\], expected cosine and sine"),
        (uncached_value, "cached values: found Transpose layers.1.self_attn.Transpose_32, expected Concat"),
        (mask_behind_softmax, "scores plus mask in front of Softmax: found MatMul layers.1.self_attn.MatMul_66"),
        (hard_choice, "no Softmax is there"),
    ],
)
def test_another_attention_fails_the_export_naming_the_layer(change: Callable[[ir.Model], None], reason: str) -> None:
    model = traced(2, RmsNorm(per_layer=4))
    change(model)
    with pytest.raises(GraphError, match=f"pass attention fired 0 times in layer 1, expected 1; .*{reason}"):
        attention()(model)

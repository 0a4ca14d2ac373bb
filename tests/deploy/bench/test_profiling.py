"""A profile: the first step is left out, and nodes are added up by operator and by layer."""

from pathlib import Path

import pytest

from thinkport.deploy.bench.contender import BenchPlan
from thinkport.deploy.bench.profiling import profile, summed


def test_the_first_step_is_left_out(events: list[dict]) -> None:
    assert summed(events, context=8).step_ms == pytest.approx(0.3)


def test_nodes_are_added_up_by_operator_and_by_layer(events: list[dict]) -> None:
    found = summed(events, context=8)

    assert found.by_op["MatMulNBits"].milliseconds == pytest.approx((100 + 50) / 2 / 1000)
    assert list(found.by_op) == ["MatMulNBits", "Sub"]
    assert {place: share.nodes for place, share in found.by_layer.items()} == {"layer 7": 1, "mask": 1}


@pytest.mark.parametrize(
    ("name", "op", "shapes", "role"),
    [
        ("layers.3.mlp.down_proj.MatMulNBits", "MatMulNBits", (3072, 1024), "mlp.down_proj 3072 → 1024"),
        ("layers.0.self_attn.v_center.MatMulNBits", "MatMulNBits", (256, 1024), "self_attn.qkv_proj 256 → 1024"),
        ("layers.9.mlp.act_fn.QuickGelu", "QuickGelu", (768, 768), "mlp.act_fn QuickGelu 768"),
        ("node_linear_14.QuantizedMatMul", "QuantizedMatMul", (1024, 151936), "lm_head 1024 → 151936"),
        (
            "layers.0.post_attention_layernorm.SkipSimplifiedLayerNormalization",
            "SkipSimplifiedLayerNormalization",
            (1024, 1024),
            "post_attention_layernorm 1024",
        ),
        ("mask.Cast_total", "Cast", (None, None), "mask Cast"),
        ("node_mul_847", "Mul", (256, 256), "other Mul 256"),
    ],
)
def test_a_node_is_named_by_its_role_and_shape(events: list[dict], name, op, shapes, role) -> None:
    for event in events:
        if event["name"] == "mask.Sub_kernel_time":
            kinds = [{"float": [1, 1, width] if width else []} for width in shapes]
            event["name"] = f"{name}_kernel_time"
            event["args"] = {"op_name": op, "input_type_shape": kinds[:1], "output_type_shape": kinds[1:]}
    assert role in summed(events, context=8).by_role


def test_an_artifacts_layers_are_all_found(nano_artifact: Path) -> None:
    found = profile(nano_artifact, BenchPlan(threads=1, steps=2), 16)

    assert "layer 0" in found.by_layer
    layers = len([part for part in found.by_layer if part.startswith("layer ")])
    assert found.by_role["mlp.gate_up_proj 256 → 1536"].nodes == layers
    assert found.by_role["lm_head 256 → 512"].nodes == 1
    assert found.by_op["GroupQueryAttention"].nodes == layers
    assert 0 < sum(share.milliseconds for share in found.by_op.values()) < found.step_ms

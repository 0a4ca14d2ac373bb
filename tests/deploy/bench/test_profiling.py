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


def test_an_artifacts_layers_are_all_found(nano_artifact: Path) -> None:
    found = profile(nano_artifact, BenchPlan(threads=1, steps=2), 16)

    assert "layer 0" in found.by_layer
    assert found.by_op["GroupQueryAttention"].nodes == len([p for p in found.by_layer if p.startswith("layer ")])
    assert 0 < sum(share.milliseconds for share in found.by_op.values()) < found.step_ms

"""Mixtures of experts wholly on our own kernels, against transformers with the artifact's own codes in its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.export.parity.dequantized import Dequantized
from tests.export.parity.reference import fresh_ids
from tests.export.trace.checkpoints import MIXTURE, narrow_checkpoint, uneven_routers
from tests.kernels.test_native_graph import kernels as kernels
from tests.kernels.test_native_graph import logits_of
from tests.plain_recipes import PLAIN

NATIVE = "cpu-native.onnx"
KINDS: dict[str, dict[str, Any]] = {
    "all layers sparse": {},
    "dense layers between, shares not divided by their sum": {"mlp_only_layers": [1], "norm_topk_prob": False},
}


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture some of whose experts get no token of a text, and others many."""
    folder = narrow_checkpoint(tmp_path_factory.mktemp("mixture") / "checkpoint", **MIXTURE | KINDS[request.param])
    uneven_routers(folder)
    return folder


def test_no_operator_of_onnx_runtimes_is_left_in_its_place(checkpoint: Path, exported: Callable[..., Path]) -> None:
    artifact = exported(checkpoint, recipe=PLAIN[32])
    parent, native = (
        Counter(node.op_type for node in onnx.load(artifact / file, load_external_data=False).graph.node)
        for file in ("cpu.onnx", NATIVE)
    )
    assert not native.keys() & {"MatMulNBits", "QMoE", "GroupQueryAttention"}
    pairs = (
        ("MatMulNBits", "QuantizedMatMul"),
        ("QMoE", "QuantizedExperts"),
        ("GroupQueryAttention", "CachedAttention"),
    )
    for before, after in pairs:
        assert native[after] == parent[before] > 0


@pytest.mark.parametrize("recipe", [PLAIN[32], "int8", "balanced"], ids=["4 bits", "8 bits", "of both"])
def test_it_is_as_near_to_the_same_codes_in_pytorch_as_its_parent(
    kernels: None, checkpoint: Path, exported: Callable[..., Path], recipe: Any
) -> None:
    """A token whose choice of experts is nearly tied may choose another one: the median token counts."""
    artifact = exported(checkpoint, recipe=recipe, kv="fp32")
    reference = Dequantized(checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, 64)
    wanted = reference.logits(ids)[0]

    def median_error(graph: str) -> float:
        found = logits_of(artifact, graph, ids, [41, 15, *[1] * 8])
        return float(np.median(np.abs(found - wanted).max(-1) / np.abs(wanted).max(-1)))

    native, parent = median_error("cpu-native"), median_error("cpu")
    print(f"median error of a token {native:.1e}, of the parent {parent:.1e}")
    assert native <= max(1.5 * parent, 0.01)
    assert native <= 0.1


def test_logits_are_the_same_to_the_bit_in_any_pieces(
    kernels: None, checkpoint: Path, exported: Callable[..., Path]
) -> None:
    artifact, ids = exported(checkpoint, recipe=PLAIN[32]), np.random.default_rng().integers(0, 500, (1, 120))
    whole = logits_of(artifact, "cpu-native", ids, [120])
    assert np.array_equal(logits_of(artifact, "cpu-native", ids, [20, 4, 64, 1, 1, 1, 29]), whole)

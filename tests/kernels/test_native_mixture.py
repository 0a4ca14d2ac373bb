"""Mixtures of experts wholly on our own kernels, against transformers with the artifact's own codes in its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from tests.plain_recipes import EXPERTS_IN_8, PLAIN

NATIVE = "cpu-native.onnx"
KINDS: dict[str, dict[str, Any]] = {
    "all layers sparse": {},
    "dense layers between, shares not divided by their sum": {"mlp_only_layers": [1], "norm_topk_prob": False},
}
PRODUCTS = {"MatMulNBits": "QuantizedMatMul", "QMoE": "QuantizedExperts"}
# A recipe, the bits of its experts, who have one format, and those of its other matrices.
RECIPES: dict[str, tuple[Any, int, set[int]]] = {
    "4 bits": (PLAIN[32], 4, {4}),
    "8 bits": ("int8", 8, {8}),
    "experts in 4, others in both": ("balanced", 4, {4, 8}),
    "experts in 8, others in 4": (EXPERTS_IN_8, 8, {4}),
}


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture some of whose experts get no token of a text, and others many."""
    folder = narrow_checkpoint(tmp_path_factory.mktemp("mixture") / "checkpoint", **MIXTURE | KINDS[request.param])
    uneven_routers(folder)
    return folder


@pytest.fixture(params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> str:
    """A name of `RECIPES`."""
    return str(request.param)


@pytest.fixture
def artifact(recipe: str, checkpoint: Path, exported: Callable[..., Path]) -> Path:
    """Its KV cache is exact, so that codes alone differ from the checkpoint, and attention ONNX Runtime's."""
    return exported(checkpoint, recipe=RECIPES[recipe][0], kv="fp32")


def nodes_of(artifact: Path) -> Iterator[Sequence[onnx.NodeProto]]:
    """Those of the parent and of the native graph."""
    for file in ("cpu.onnx", NATIVE):
        yield onnx.load(artifact / file, load_external_data=False).graph.node


def replaced(artifact: Path, pairs: dict[str, str]) -> bool:
    """Whether no operator of ONNX Runtime's is left in the native graph where ours takes its place."""
    parent, native = (Counter(node.op_type for node in nodes) for nodes in nodes_of(artifact))
    return all(native[after] == parent[before] > 0 == native[before] for before, after in pairs.items())


def test_no_operator_of_onnx_runtimes_is_left_in_its_place(checkpoint: Path, exported: Callable[..., Path]) -> None:
    pairs = {**PRODUCTS, "GroupQueryAttention": "CachedAttention"}
    assert replaced(exported(checkpoint, recipe=PLAIN[32]), pairs)


def test_codes_of_every_recipe_are_multiplied_by_our_own_operators(recipe: str, artifact: Path) -> None:
    assert replaced(artifact, PRODUCTS)
    _, experts, others = RECIPES[recipe]
    _, native = nodes_of(artifact)
    assert bits_of(native, "QuantizedExperts") == {experts}
    assert bits_of(native, "QuantizedMatMul") == others


def bits_of(nodes: Iterable[onnx.NodeProto], kind: str) -> set[int]:
    """The bits of an operator's codes."""
    named = [attribute for node in nodes if node.op_type == kind for attribute in node.attribute]
    return {attribute.i for attribute in named if attribute.name == "bits"}


def test_it_is_as_near_to_the_same_codes_in_pytorch_as_its_parent(
    kernels: None, checkpoint: Path, artifact: Path
) -> None:
    """A token whose choice of experts is nearly tied may choose another one: the median token counts."""
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

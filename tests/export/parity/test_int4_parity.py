"""int4 graphs held against the same weights, dequantized, in PyTorch.

At accuracy level 0 the arithmetic is float32 on both sides. At level 4 activations are rounded to int8 by groups; what
that rounding alone costs is modelled in numpy, and the graph may cost at most twice as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.export.parity.dequantized import Dequantized, Int8Activations
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import fresh_ids
from tests.export.parity.rounded_cache import RoundedCache
from tests.plain_recipes import EXACT, HEAD_IN_8, PLAIN, TURNED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from thinkport.export.quantize.recipes import ModelRecipe

ON_CPU = ("cpu",)
TEXTS = 5  # of which the median counts: in one of a hundred a rounding tips attention, and all that follows is off


@pytest.fixture(scope="module", params=["nano", "wide", "llama of two layers", "qwen2 of two layers"])
def checkpoint(
    request: pytest.FixtureRequest, nano_checkpoint: Path, wide_qwen3: Path, narrow_llama: Path, narrow_qwen2: Path
) -> Path:
    kinds = {"nano": nano_checkpoint, "wide": wide_qwen3, "llama of two layers": narrow_llama}
    return (kinds | {"qwen2 of two layers": narrow_qwen2})[request.param]


def in_pieces(artifact: Path, ids: np.ndarray) -> np.ndarray:
    """Prefill, an uneven chunk, then decoding, over a poisoned cache."""
    driver = Driver(artifact)
    steps = [ids[:, :41], ids[:, 41:64], *(ids[:, at : at + 1] for at in range(64, ids.shape[1]))]
    return np.concatenate([driver.step(step) for step in steps], axis=1)


def cost(artifact: Path, reference: Dequantized, group_size: int, *, rounds_cache: bool = False) -> float:
    """The graph's error as a multiple of what rounding alone costs: the median over fresh texts."""
    found = []
    for _ in range(TEXTS):
        ids = fresh_ids(reference.vocabulary, 1, 80)
        exact = reference.logits(ids)
        with Int8Activations(reference, group_size) as rounded:
            cache = RoundedCache(artifact, rounded) if rounds_cache else None
            alone = relative(rounded.logits(ids, cache=cache), exact)
        found.append(relative(in_pieces(artifact, ids), exact) / alone)
    print(f"{artifact.name}: {np.round(found, 2)} times what rounding alone costs")
    return float(np.median(found))


@pytest.mark.parametrize("recipe", [EXACT, TURNED], ids=["plain", "turned"])
def test_float32_arithmetic_on_the_same_weights_gives_the_same_logits(
    checkpoint: Path, exported: Callable[..., Path], recipe: ModelRecipe
) -> None:
    artifact = exported(checkpoint, recipe=recipe, kv="fp32", targets=ON_CPU)
    reference = Dequantized(checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, 80)
    error = relative(in_pieces(artifact, ids), reference.logits(ids))
    print(f"level 0: {error:.2e}")
    assert error <= 1e-3


def test_a_published_vocabulary_gives_the_same_logits(
    made_up: Callable[..., Path], exported: Callable[..., Path]
) -> None:
    checkpoint = made_up("0.6B", "--layers", "2")
    artifact = exported(checkpoint, recipe=EXACT, kv="fp32", targets=ON_CPU)
    reference = Dequantized(checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, 20)
    driver = Driver(artifact)
    found = np.concatenate([driver.step(ids[:, :19]), driver.step(ids[:, 19:])], axis=1)
    assert relative(found, reference.logits(ids)) <= 1e-3


@pytest.mark.parametrize("size", PLAIN)
def test_int8_arithmetic_costs_no_more_than_twice_the_rounding_of_activations(
    checkpoint: Path, exported: Callable[..., Path], size: int
) -> None:
    artifact = exported(checkpoint, recipe=PLAIN[size], kv="fp32", targets=ON_CPU)
    assert cost(artifact, Dequantized(checkpoint, artifact), size) <= 2


def test_the_default_artifact_costs_no_more_than_twice_what_it_rounds(
    checkpoint: Path, exported: Callable[..., Path]
) -> None:
    artifact = exported(checkpoint, targets=ON_CPU)
    assert cost(artifact, Dequantized(checkpoint, artifact, centered=True), 64, rounds_cache=True) <= 2


@pytest.mark.parametrize(("recipe", "size"), [(HEAD_IN_8, 32), ("int8", 64)])
def test_8_bit_tables_and_projections_hold_the_weights_that_were_rounded(
    checkpoint: Path, exported: Callable[..., Path], recipe: ModelRecipe | str, size: int
) -> None:
    artifact = exported(checkpoint, recipe=recipe, kv="fp32", targets=ON_CPU)
    assert cost(artifact, Dequantized(checkpoint, artifact), size) <= 2


@pytest.mark.parametrize("checkpoint", ["nano", "llama of two layers", "qwen2 of two layers"], indirect=True)
def test_layers_of_4_and_8_bits_beside_each_other_hold_the_weights_that_were_rounded(
    checkpoint: Path, exported: Callable[..., Path]
) -> None:
    artifact = exported(checkpoint, recipe="accurate", kv="fp32", targets=ON_CPU)
    assert cost(artifact, Dequantized(checkpoint, artifact), 64) <= 2


@pytest.mark.parametrize("recipe", [EXACT, TURNED], ids=["plain", "turned"])
def test_an_unfused_graph_is_quantized_as_well(
    nano_checkpoint: Path, exported: Callable[..., Path], recipe: ModelRecipe
) -> None:
    artifact = exported(nano_checkpoint, recipe=recipe, fuse=False)
    fused = exported(nano_checkpoint, recipe=recipe, kv="fp32", targets=ON_CPU)
    ids = fresh_ids(512, 1, 30)
    assert relative(Driver(artifact).step(ids), Driver(fused).step(ids)) <= 1e-3

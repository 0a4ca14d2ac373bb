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

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXACT = "int4-g64-exact"
GROUP_SIZES = {"int4-g32": 32, "int4-g64": 64, "int4-g128": 128, EXACT: 64}


@pytest.fixture(scope="module", params=["nano", "0.6B of two layers"])
def checkpoint(request: pytest.FixtureRequest, nano_checkpoint: Path, made_up: Callable[..., Path]) -> Path:
    return nano_checkpoint if request.param == "nano" else made_up("0.6B", "--layers", "2")


def in_pieces(artifact: Path, ids: np.ndarray) -> np.ndarray:
    """Prefill, an uneven chunk, then decoding, over a poisoned cache."""
    driver = Driver(artifact)
    steps = [ids[:, :41], ids[:, 41:64], *(ids[:, at : at + 1] for at in range(64, ids.shape[1]))]
    return np.concatenate([driver.step(step) for step in steps], axis=1)


def test_float32_arithmetic_on_the_same_weights_gives_the_same_logits(
    checkpoint: Path, exported: Callable[..., Path]
) -> None:
    artifact = exported(checkpoint, recipe=EXACT, kv="fp32")
    reference = Dequantized(checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, 80)
    error = relative(in_pieces(artifact, ids), reference.logits(ids))
    print(f"level 0: {error:.2e}")
    assert error <= 1e-3


@pytest.mark.parametrize("recipe", ["int4-g32", "int4-g64", "int4-g128"])
def test_int8_arithmetic_costs_no_more_than_twice_the_rounding_of_activations(
    checkpoint: Path, exported: Callable[..., Path], recipe: str
) -> None:
    artifact = exported(checkpoint, recipe=recipe, kv="fp32")
    reference = Dequantized(checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, 80)
    exact = reference.logits(ids)
    with Int8Activations(reference, GROUP_SIZES[recipe]) as rounded:
        model = relative(rounded.logits(ids), exact)
    found = relative(in_pieces(artifact, ids), exact)
    print(f"level 4, {recipe}: graph {found:.2e}, int8 activations alone {model:.2e}")
    assert found <= 2 * model


def test_the_default_artifact_costs_no_more_than_twice_what_it_rounds(
    checkpoint: Path, exported: Callable[..., Path]
) -> None:
    artifact = exported(checkpoint)
    reference = Dequantized(checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, 80)
    exact = reference.logits(ids)
    with Int8Activations(reference, 64) as rounded:
        model = relative(rounded.logits(ids, cache=RoundedCache(artifact, rounded)), exact)
    assert relative(in_pieces(artifact, ids), exact) <= 2 * model


@pytest.mark.parametrize("recipe", ["int4-g32-head8", "int8-g32"])
def test_8_bit_tables_and_projections_hold_the_weights_that_were_rounded(
    nano_checkpoint: Path, exported: Callable[..., Path], recipe: str
) -> None:
    artifact = exported(nano_checkpoint, recipe=recipe, kv="fp32")
    reference = Dequantized(nano_checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, 80)
    exact = reference.logits(ids)
    with Int8Activations(reference, 32) as rounded:
        model = relative(rounded.logits(ids), exact)
    assert relative(in_pieces(artifact, ids), exact) <= 2 * model


def test_an_unfused_graph_is_quantized_as_well(nano_checkpoint: Path, exported: Callable[..., Path]) -> None:
    artifact = exported(nano_checkpoint, recipe=EXACT, fuse=False)
    fused = exported(nano_checkpoint, recipe=EXACT, kv="fp32")
    ids = fresh_ids(512, 1, 30)
    assert relative(Driver(artifact).step(ids), Driver(fused).step(ids)) <= 1e-3

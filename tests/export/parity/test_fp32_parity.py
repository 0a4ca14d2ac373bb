"""fp32 graphs, unfused and fused, held against transformers: max|Δ| / max|reference| of the logits at most 1e-4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import Reference, fresh_ids
from tests.export.parity.unequal_rows import errors_of_unequal_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOUND = 1e-4


@pytest.fixture(scope="module", params=["nano", "wide", "llama of two layers", "qwen2 of two layers"])
def checkpoint(
    request: pytest.FixtureRequest, nano_checkpoint: Path, wide_qwen3: Path, narrow_llama: Path, narrow_qwen2: Path
) -> Path:
    kinds = {"nano": nano_checkpoint, "wide": wide_qwen3, "llama of two layers": narrow_llama}
    return (kinds | {"qwen2 of two layers": narrow_qwen2})[request.param]


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="module", params=["fused", "unfused"])
def artifact(request: pytest.FixtureRequest, checkpoint: Path, exported: Callable[..., Path]) -> Path:
    return exported(checkpoint, precision="fp32", fuse=request.param == "fused")


def test_prefill_gives_pytorchs_logits(artifact: Path, reference: Reference) -> None:
    ids = fresh_ids(reference.vocabulary, 1, 77)
    assert relative(Driver(artifact).step(ids), reference.logits(ids)) <= BOUND


def test_one_token_at_an_empty_past_gives_pytorchs_logits(artifact: Path, reference: Reference) -> None:
    ids = fresh_ids(reference.vocabulary, 1, 1)
    assert relative(Driver(artifact).step(ids), reference.logits(ids)) <= BOUND


def test_decoding_64_tokens_over_the_cache_gives_pytorchs_logits(artifact: Path, reference: Reference) -> None:
    ids = fresh_ids(reference.vocabulary, 1, 20 + 64)
    driver = Driver(artifact)
    driver.step(ids[:, :20])
    found = [driver.step(ids[:, at : at + 1]) for at in range(20, 84)]
    assert relative(np.concatenate(found, axis=1), reference.logits(ids)[:, 20:]) <= BOUND


def test_prefill_in_uneven_chunks_gives_pytorchs_logits(artifact: Path, reference: Reference) -> None:
    ids = fresh_ids(reference.vocabulary, 1, 200)
    driver = Driver(artifact)
    found = [driver.step(ids[:, a:b]) for a, b in [(0, 7), (7, 71), (71, 72), (72, 199), (199, 200)]]
    assert relative(np.concatenate(found, axis=1), reference.logits(ids)) <= BOUND


def test_rows_of_unequal_length_are_prefilled_and_decoded_as_if_alone(artifact: Path, reference: Reference) -> None:
    assert max(errors_of_unequal_rows(artifact, reference)) <= BOUND


def test_4096_tokens_of_context_give_pytorchs_logits(artifact: Path, reference: Reference) -> None:
    ids = fresh_ids(reference.vocabulary, 1, 4096)
    driver = Driver(artifact, capacity=4096)
    for start in range(0, 4080, 255):
        driver.step(ids[:, start : start + 255])
    found = driver.step(ids[:, 4080:4095])
    last = driver.step(ids[:, 4095:])
    assert relative(np.concatenate([found, last], axis=1), reference.logits(ids, keep=16)) <= BOUND


def test_a_published_vocabulary_gives_pytorchs_logits(
    made_up: Callable[..., Path], exported: Callable[..., Path]
) -> None:
    checkpoint = made_up("0.6B", "--layers", "2")
    reference = Reference(checkpoint)
    ids = fresh_ids(reference.vocabulary, 1, 20)
    driver = Driver(exported(checkpoint, precision="fp32"))
    found = np.concatenate([driver.step(ids[:, :19]), driver.step(ids[:, 19:])], axis=1)
    assert relative(found, reference.logits(ids)) <= BOUND

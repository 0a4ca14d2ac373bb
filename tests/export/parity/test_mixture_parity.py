"""Mixtures of experts against transformers: routers, shares, order of gate and up, and layers that are not alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.export.parity.dequantized import Dequantized
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import Reference, fresh_ids
from tests.export.parity.unequal_rows import errors_of_unequal_rows
from tests.export.trace.checkpoints import MIXTURE, narrow_checkpoint, uneven_routers, with_routers
from tests.plain_recipes import EXACT as EXACT_RECIPE
from tests.plain_recipes import PLAIN, TURNED

from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.families import family_of
from thinkport.export.reference.logits import reference_logits
from thinkport.export.reference.streamed_weights import StreamedWeights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from thinkport.export.quantize.recipes import ModelRecipe

BOUND = 1e-4
EXACT = 1e-3
KINDS: dict[str, dict[str, Any]] = {
    "all layers sparse": {},
    "dense layers between, tied": {"mlp_only_layers": [0, 3], "num_hidden_layers": 5, "tie_word_embeddings": True},
    "every second layer sparse, shares not divided by their sum": {"decoder_sparse_step": 2, "norm_topk_prob": False},
}


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture some of whose experts get no token of a text, and others many."""
    folder = narrow_checkpoint(tmp_path_factory.mktemp("mixture") / "checkpoint", **MIXTURE | KINDS[request.param])
    uneven_routers(folder)
    return folder


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="module", params=["fused", "unfused"])
def artifact(request: pytest.FixtureRequest, checkpoint: Path, exported: Callable[..., Path]) -> Path:
    return exported(checkpoint, precision="fp32", fuse=request.param == "fused")


def counts(reference: Reference, ids: np.ndarray) -> list[list[int]]:
    """Tokens of each expert, by sparse layer."""
    found: list[list[int]] = []
    routers = [module for name, module in reference.model.named_modules() if name.endswith("mlp.gate")]
    hooks = [
        router.register_forward_hook(lambda _module, _inputs, out: found.append(out[2].flatten().bincount().tolist()))
        for router in routers
    ]
    reference.logits(ids)
    for hook in hooks:
        hook.remove()
    return found


def test_routing_is_uneven(reference: Reference) -> None:
    found = counts(reference, reference.ids(1, 60))
    assert found
    for layer in found:
        padded = [*layer, *[0] * (16 - len(layer))]
        assert sum(padded) == 4 * 60
        assert max(padded) >= 4 * max(1, min(padded))
    assert any(0 in [*layer, *[0] * (16 - len(layer))] for layer in found)


def test_prefill_gives_pytorchs_logits(artifact: Path, reference: Reference) -> None:
    ids = reference.ids(1, 77)
    assert relative(Driver(artifact).step(ids), reference.logits(ids)) <= BOUND


def test_uneven_chunks_and_decoding_give_pytorchs_logits(artifact: Path, reference: Reference) -> None:
    ids = reference.ids(1, 96)
    driver = Driver(artifact)
    cuts = [(0, 7), (7, 71), (71, 72), (72, 80), *((at, at + 1) for at in range(80, 96))]
    found = [driver.step(ids[:, start:stop]) for start, stop in cuts]
    assert relative(np.concatenate(found, axis=1), reference.logits(ids)) <= BOUND


def test_rows_of_a_batch_are_as_if_alone(artifact: Path, reference: Reference) -> None:
    assert max(errors_of_unequal_rows(artifact, reference)) <= BOUND


@pytest.mark.parametrize("recipe", [EXACT_RECIPE, TURNED], ids=["plain", "turned"])
@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_rounded_experts_compute_what_their_codes_say(
    checkpoint: Path, exported: Callable[..., Path], fuse: bool, recipe: ModelRecipe
) -> None:
    artifact = exported(checkpoint, recipe=recipe, kv="fp32", fuse=fuse)
    reference = Dequantized(checkpoint, artifact)
    ids = reference.ids(1, 64)
    driver = Driver(artifact)
    steps = [ids[:, :41], ids[:, 41:56], *(ids[:, at : at + 1] for at in range(56, 64))]
    found = np.concatenate([driver.step(step) for step in steps], axis=1)
    assert relative(found, reference.logits(ids)) <= EXACT


@pytest.mark.parametrize("recipe", [PLAIN[32], "int8", "balanced"], ids=["4 bits", "8 bits", "of both"])
def test_int8_arithmetic_stays_near_the_same_codes(
    checkpoint: Path, exported: Callable[..., Path], recipe: ModelRecipe | str
) -> None:
    """A token whose choice of experts is nearly tied may choose another one: the median token counts."""
    artifact = exported(checkpoint, recipe=recipe, kv="fp32")
    reference = Dequantized(checkpoint, artifact)
    ids = reference.ids(1, 64)
    found, wanted = Driver(artifact).step(ids)[0], reference.logits(ids)[0]
    errors = np.abs(found - wanted).max(-1) / np.abs(wanted).max(-1)
    print(f"median error of a token {np.median(errors):.1e}")
    assert np.median(errors) <= 0.1


def test_tied_logits_of_a_router_choose_as_transformers_does_where_the_choice_matters(
    tmp_path: Path, exported: Callable[..., Path]
) -> None:
    """Every expert has a twin: the same router's row and the same weights, so that either of two may be taken."""
    folder = narrow_checkpoint(tmp_path / "twins", **MIXTURE | {"num_experts_per_tok": 3})
    tensors = load_file(folder / "model.safetensors")
    for name in tensors:
        if name.endswith("mlp.gate.weight"):
            tensors[name][8:] = tensors[name][:8]
        elif ".mlp.experts." in name:
            before, _, after = name.partition(".mlp.experts.")
            expert, _, part = after.partition(".")
            if int(expert) >= 8:
                tensors[name] = tensors[f"{before}.mlp.experts.{int(expert) - 8}.{part}"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    reference = Reference(folder)
    ids = fresh_ids(reference.vocabulary, 1, 60)
    for settings in ({"precision": "fp32"}, {"recipe": EXACT_RECIPE, "kv": "fp32"}):
        artifact = exported(folder, **settings)
        wanted = (reference if "precision" in settings else Dequantized(folder, artifact)).logits(ids)
        assert relative(Driver(artifact).step(ids), wanted) <= EXACT


def test_of_equal_experts_the_reference_takes_those_that_the_graph_takes(
    tmp_path: Path, exported: Callable[..., Path]
) -> None:
    """A router of zeros: all experts are equal, and each gives something else."""
    folder = narrow_checkpoint(tmp_path / "equal", **MIXTURE)
    with_routers(folder, np.zeros_like)
    opened = open_checkpoint(folder)
    family = family_of(opened.config)
    shape = family.shape(opened.config)
    decoder = family.decoder(StreamedWeights(checkpoint=opened, advance=lambda _: None), shape)
    ids = fresh_ids(512, 1, 40)
    (wanted,) = reference_logits(decoder, shape.layers, [ids[0]])
    artifact = exported(folder, precision="fp32")
    assert relative(Driver(artifact).step(ids)[0], wanted) <= BOUND

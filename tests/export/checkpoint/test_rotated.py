"""An equalized checkpoint computes what the plain one does, and its blocks are those of the whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.export.trace.checkpoints import MIXTURE, QWEN2, narrow_checkpoint

from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.checkpoint.equalized import divided, equalized, reader_bytes
from thinkport.export.families import family_of
from thinkport.export.reference.logits import reference_logits
from thinkport.export.reference.streamed_weights import StreamedWeights


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Matrices with a few loud columns, and norms that differ."""
    return with_loud_columns(narrow_checkpoint(tmp_path_factory.mktemp("loud") / "checkpoint"))


def with_loud_columns(folder: Path) -> Checkpoint:
    rng = np.random.default_rng(0)
    tensors = load_file(folder / "model.safetensors")
    for name, weight in tensors.items():
        if weight.ndim == 2 and "embed" not in name:
            weight = rng.standard_normal(weight.shape).astype(np.float32) * 0.1
            weight[:, rng.choice(weight.shape[1], max(1, weight.shape[1] // 64), replace=False)] *= 6
        tensors[name] = np.ascontiguousarray(weight, np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return open_checkpoint(folder)


def scaled(checkpoint: Checkpoint, seen: list[int] | None = None) -> Checkpoint:
    family = family_of(checkpoint.config)
    sites = family.sites(family.shape(checkpoint.config))
    return equalized(checkpoint, sites, lambda *_: 32, advance=(seen if seen is not None else []).append)


def logits(checkpoint: Checkpoint, ids: np.ndarray) -> np.ndarray:
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    weights = StreamedWeights(checkpoint=checkpoint, advance=lambda _: None)
    decoder = family_of(checkpoint.config).decoder(weights, shape)
    return reference_logits(decoder, shape.layers, [ids])[0]


MORE = [
    (QWEN2, "self_attn.v_proj.bias"),
    (MIXTURE | {"mlp_only_layers": [1]}, "mlp.experts.2.up_proj.weight"),
]


@pytest.mark.parametrize(("config", "scaled_rows"), MORE, ids=["biases", "experts"])
def test_it_computes_the_same_function_in_another_family(
    tmp_path: Path, config: dict[str, Any], scaled_rows: str
) -> None:
    plain = with_loud_columns(narrow_checkpoint(tmp_path / "checkpoint", **config))
    found = scaled(plain)
    assert f"model.layers.0.{scaled_rows}" in found.rows_by
    ids = np.random.default_rng().integers(0, 512, 40)
    before, after = logits(plain, ids), logits(found, ids)
    assert np.abs(before - after).max() <= 1e-4 * np.abs(before).max()


def test_it_computes_the_same_function(loud: Checkpoint) -> None:
    torch.manual_seed(0)
    found = scaled(loud)
    assert found.columns_by
    assert {name.split(".")[-2] for name in found.rows_by} >= {"v_proj", "up_proj", "input_layernorm"}
    ids = np.random.default_rng().integers(0, 512, 40)
    before, after = logits(loud, ids), logits(found, ids)
    assert np.abs(before - after).max() <= 1e-4 * np.abs(before).max()


def test_keys_that_are_divided_and_queries_that_make_up_for_it_give_the_same_function(loud: Checkpoint) -> None:
    family = family_of(loud.config)
    shape = family.shape(loud.config)
    before = scaled(loud)
    rows_by: dict[str, np.ndarray] = {}
    for layer in range(shape.layers):
        divisor = np.tile(np.random.default_rng().uniform(0.1, 10, shape.head_dim // 2), (1, 2)).astype(np.float32)
        rows_by |= family.key_divisors(layer, divisor, shape)
    found = divided(before, rows_by)
    assert found.rows_by.keys() == before.rows_by.keys() | rows_by.keys()
    ids = np.random.default_rng().integers(0, 512, 40)
    expected = logits(loud, ids)
    assert np.abs(logits(found, ids) - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("fixture", ["narrow_llama", "narrow_qwen2"])
def test_keys_without_norms_are_divided_by_the_rows_of_their_projections(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    plain = open_checkpoint(request.getfixturevalue(fixture))
    family = family_of(plain.config)
    shape = family.shape(plain.config)
    halves = np.random.default_rng().uniform(0.1, 10, (shape.kv_heads, shape.head_dim // 2))
    divisor = np.tile(halves, (1, 2)).astype(np.float32)
    found = divided(plain, family.key_divisors(1, divisor, shape))
    ids = np.random.default_rng().integers(0, 512, 40)
    expected = logits(plain, ids)
    assert np.abs(logits(found, ids) - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_trained_checkpoint_whose_columns_are_alike_is_left_alone(nano_checkpoint: Path) -> None:
    assert not scaled(open_checkpoint(nano_checkpoint)).rows_by


def test_blocks_are_the_rows_of_the_whole(loud: Checkpoint) -> None:
    found = scaled(loud)
    name = next(name for name in found.rows_by if name.endswith("up_proj.weight"))
    np.testing.assert_array_equal(np.concatenate([block for _, block in found.blocks(name, 3000)]), found.read(name))
    assert not np.array_equal(found.read(name), loud.read(name))


def test_progress_ends_where_it_was_said_to(loud: Checkpoint) -> None:
    seen: list[int] = []
    scaled(loud, seen)
    family = family_of(loud.config)
    assert sum(seen) == reader_bytes(loud, family.sites(family.shape(loud.config)))

"""Calibrating: scales of what the model really keeps, the same each time, in bounded memory."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tests.export.trace.checkpoints import narrow_checkpoint
from transformers import AutoModelForCausalLM, DynamicCache

from thinkport.export.calibrate import LayerInputs, calibrate, calibrated_bytes
from thinkport.export.calibrate.calibrate import measured, quiet_first
from thinkport.export.calibrate.texts import HALF, MANY_TOKENS, SOME_TOKENS, calibration_texts
from thinkport.export.certify.prompts import golden_prompts
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.checkpoint import checkpoint as checkpoint_module
from thinkport.export.errors import CheckpointError
from thinkport.export.families import DecoderShape, family_of
from thinkport.export.families.dense.decoder import DenseDecoder
from thinkport.export.quantize.kv_scales import KvScales, key_scales, value_scales
from thinkport.export.reference.streamed_weights import StreamedWeights
from thinkport.runtime.prompt.tokenizer import Tokenizer

VOCABULARY = 512


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(narrow_checkpoint(tmp_path_factory.mktemp("narrow") / "narrow"))


def shape_of(checkpoint: Checkpoint) -> DecoderShape:
    return family_of(checkpoint.config).shape(checkpoint.config)


def scales_of(checkpoint: Checkpoint) -> KvScales:
    family, shape = family_of(checkpoint.config), shape_of(checkpoint)
    return calibrate(checkpoint, family, shape, advance=lambda _: None).kv_scales


def changed(checkpoint: Checkpoint, folder: Path, change: Callable[[str, NDArray[Any]], NDArray[Any]]) -> Checkpoint:
    """The same checkpoint with other weights."""
    narrow_checkpoint(folder)
    tensors = {
        name: change(name, weight) for name, weight in load_file(checkpoint.folder / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return open_checkpoint(folder)


@torch.inference_mode()
def test_scales_and_centers_are_those_of_transformers_own_cache(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[calibrate.__module__], "QUIET", np.inf)  # made-up weights rest on no token
    model = AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    caches, texts = [], calibration_texts(checkpoint, VOCABULARY, MANY_TOKENS, HALF)
    for ids in texts:
        caches.append(DynamicCache())
        model(torch.from_numpy(ids)[None], None, None, caches[-1])  # by place: its name depends on the version
    found = scales_of(checkpoint)
    assert found.centers is not None
    chat = next(cache for ids, cache in zip(texts, caches, strict=True) if ids[0] == 504)  # <|im_start|>
    for layer in range(2):
        keys = np.concatenate([cache.layers[layer].keys[0].transpose(0, 1).numpy() for cache in caches])
        values = np.concatenate([cache.layers[layer].values[0].transpose(0, 1).numpy() for cache in caches])
        center = chat.layers[layer].values[0][:, 0]
        np.testing.assert_allclose(found.centers.values[layer], center.numpy(), rtol=1e-4, atol=1e-5)
        output = model.model.layers[layer].self_attn.o_proj(center.repeat_interleave(2, 0).reshape(-1))
        np.testing.assert_allclose(found.centers.outputs[layer], output.numpy(), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found.keys[layer], key_scales(keys), rtol=1e-4)
        np.testing.assert_allclose(found.values[layer], value_scales(values, center.numpy()), rtol=1e-4)


def test_values_have_no_center_in_layers_that_do_not_rest_on_the_first_token(checkpoint: Checkpoint) -> None:
    centers = scales_of(checkpoint).centers
    assert centers is not None
    assert not np.any(centers.values)
    assert not np.any(centers.outputs)
    values = torch.ones(5, 2, 4)
    values[0] /= 4
    assert quiet_first(values, 0)
    assert not quiet_first(values, 1)


def test_they_are_the_same_each_time(checkpoint: Checkpoint) -> None:
    first, second = scales_of(checkpoint), scales_of(checkpoint)
    np.testing.assert_array_equal(first.keys, second.keys)
    np.testing.assert_array_equal(first.values, second.values)


def test_a_checkpoint_of_zeros_gets_scales_that_can_be_divided_by(checkpoint: Checkpoint, tmp_path: Path) -> None:
    found = scales_of(changed(checkpoint, tmp_path / "zeros", lambda _, weight: np.zeros_like(weight)))
    for scales in map(np.stack, (found.keys, found.values)):
        assert (np.isfinite(scales) & (scales > 0)).all()


def test_a_channel_that_shouts_changes_the_step_of_its_pair_only(checkpoint: Checkpoint, tmp_path: Path) -> None:
    def shout(name: str, weight: NDArray[Any]) -> NDArray[Any]:
        if name == "model.layers.1.self_attn.k_norm.weight":
            weight = weight.copy()
            weight[3] = 500 * np.abs(weight).max()
        return weight

    before, after = scales_of(checkpoint), scales_of(changed(checkpoint, tmp_path / "loud", shout))
    assert (after.keys[1][:, [3, 3 + 16]] > 20 * before.keys[1][:, [3, 3 + 16]]).all()
    others = np.setdiff1d(np.arange(32), [3, 3 + 16])
    np.testing.assert_allclose(after.keys[1][:, others], before.keys[1][:, others], rtol=1e-5)


def test_keys_that_overflow_are_told_with_their_layer(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, "_check_usable", lambda *_: None)  # which refuses such weights themselves

    def burst(name: str, weight: NDArray[Any]) -> NDArray[Any]:
        return np.full_like(weight, 3e38) if name == "model.layers.1.self_attn.v_proj.weight" else weight

    damaged = changed(checkpoint, tmp_path / "damaged", burst)
    with pytest.raises(CheckpointError, match="layer 1 gives values that are NaN or infinite"):
        scales_of(damaged)


def test_progress_ends_where_it_was_said_to_and_no_block_is_large(checkpoint: Checkpoint) -> None:
    seen: list[int] = []
    weights = StreamedWeights(checkpoint=checkpoint, advance=seen.append, block_bytes=5000)
    shape = shape_of(checkpoint)
    measured(DenseDecoder(weights, shape), shape.layers, calibration_texts(checkpoint, VOCABULARY, SOME_TOKENS))
    assert sum(seen) == calibrated_bytes(checkpoint, shape)
    assert max(seen) <= 5000


@pytest.mark.parametrize("most", [SOME_TOKENS, MANY_TOKENS])
def test_texts_are_short_the_same_each_time_and_not_the_certificates(checkpoint: Checkpoint, most: int) -> None:
    texts = calibration_texts(checkpoint, VOCABULARY, most)
    for first, second in zip(texts, calibration_texts(checkpoint, VOCABULARY, most), strict=True):
        np.testing.assert_array_equal(first, second)
    assert max(map(len, texts)) == most
    assert all(ids.min() >= 0 and ids.max() < VOCABULARY for ids in texts)
    golden = {tuple(prompt.ids.tolist()) for prompt in golden_prompts(checkpoint, VOCABULARY, 2048)}
    assert not golden & {tuple(ids.tolist()) for ids in texts}


def test_chats_are_in_the_checkpoints_own_template(checkpoint: Checkpoint) -> None:
    tokenizer = Tokenizer.from_file(checkpoint.folder / "tokenizer.json")
    chats = [
        ids
        for ids in calibration_texts(checkpoint, VOCABULARY, SOME_TOKENS)
        if ids[0] == tokenizer.added["<|im_start|>"]
    ]
    assert len(chats) == 19
    assert tokenizer.decode(chats[0].tolist()).startswith("<|im_start|>user\nA tank holds")


@torch.inference_mode()
def test_the_heads_inputs_are_those_of_transformers(checkpoint: Checkpoint) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    texts = calibration_texts(checkpoint, VOCABULARY, MANY_TOKENS)
    found = LayerInputs(checkpoint, family_of(checkpoint.config), shape_of(checkpoint)).of("model.embed_tokens.weight")
    expected = np.concatenate([model.model(torch.from_numpy(ids)[None])[0][0].numpy() for ids in texts])
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

"""Which graphs are float16 where a few activations are very large, as those of a trained model's first token are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.export.parity.dequantized import Dequantized
from tests.export.parity.driver import Driver, relative
from tests.export.trace.checkpoints import LLAMA, narrow_checkpoint
from tests.plain_recipes import EXACT
from transformers import AutoModelForCausalLM

from thinkport.export.calibrate import calibrate
from thinkport.export.calibrate.texts import HALF, MANY_TOKENS, calibration_texts
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.families import family_of
from thinkport.export.plans import FIRST_HEADROOM, HEADROOM, LARGEST
from thinkport.runtime.artifact.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOUD, CHANNEL = 30_000.0, 7


def texts_of(folder: Path) -> list[np.ndarray]:
    return calibration_texts(open_checkpoint(folder), 512, MANY_TOKENS, HALF)


def planted(folder: Path, *, first: bool) -> tuple[Path, int]:
    """A Llama of two layers with one loud token, which begins calibration texts or comes later in them only."""
    narrow_checkpoint(folder, **LLAMA, tie_word_embeddings=False)
    begins = {int(ids[0]) for ids in texts_of(folder)}
    follows = {int(token) for ids in texts_of(folder) for token in ids[1:]}
    token = min(begins - follows if first else follows - begins)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][token, CHANNEL] = LOUD
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder, token


@pytest.fixture(scope="module", params=[True, False], ids=["first", "later"])
def loud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bool, Path, int]:
    return request.param, *planted(tmp_path_factory.mktemp("loud") / "checkpoint", first=request.param)


def test_the_planted_activation_fits_a_half_where_it_hardly_varies_and_not_elsewhere() -> None:
    assert LOUD * FIRST_HEADROOM < LARGEST["float16"] < LOUD * HEADROOM


def test_a_loud_first_token_leaves_float16_and_a_loud_later_one_does_not(
    loud: tuple[bool, Path, int], exported: Callable[..., Path]
) -> None:
    first, folder, _ = loud
    manifest = read_manifest(exported(folder, recipe=EXACT))
    found = {graph.file: graph.activations for graph in manifest.graphs}
    wide = {"cuda.onnx": "bfloat16", "dml.onnx": "float32", "dml-plain.onnx": "float32"}
    always = dict.fromkeys(("cpu.onnx", "cpu-float32-kv.onnx", "webgpu-float32.onnx"), "float32")
    assert found == always | (dict.fromkeys([*wide, "webgpu.onnx"], "float16") if first else wide)


@pytest.mark.parametrize("file", ["dml.onnx", "dml-plain.onnx"])
def test_the_float16_graph_computes_the_checkpoint_behind_a_loud_first_token(
    loud: tuple[bool, Path, int], file: str, exported: Callable[..., Path]
) -> None:
    first, folder, token = loud
    if not first:
        return
    artifact = exported(folder, recipe=EXACT)
    ids = np.random.default_rng().integers(0, 512, (1, 40))
    ids[0, 0] = token
    found = Driver(artifact, file=file).step(ids)
    assert np.isfinite(found).all()
    assert relative(found, Dequantized(folder, artifact).logits(ids)) < 0.05


@torch.inference_mode()
def test_loudness_is_that_of_transformers_own_activations_by_position(loud: tuple[bool, Path, int]) -> None:
    _, folder, _ = loud
    checkpoint = open_checkpoint(folder)
    family, loudest = family_of(checkpoint.config), {True: 0.0, False: 0.0}
    found = calibrate(checkpoint, family, family.shape(checkpoint.config), advance=lambda _: None).loudness

    def see(values: torch.Tensor) -> None:
        loudest[True] = max(loudest[True], float(values[0, 0].abs().max()))
        loudest[False] = max(loudest[False], float(values[0, 1:].abs().max()))

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for layer in model.model.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: see(output))
        layer.mlp.down_proj.register_forward_hook(lambda _module, inputs, _output: see(inputs[0]))
        for module in layer.modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_hook(lambda _module, _inputs, output: see(output))
    for ids in texts_of(folder):
        model(torch.from_numpy(ids)[None])
    assert found.first == pytest.approx(loudest[True], rel=1e-3)
    assert found.later == pytest.approx(loudest[False], rel=1e-3)

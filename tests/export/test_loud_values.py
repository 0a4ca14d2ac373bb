"""Values of which few channels are loud, as trained models have them, keep a scale a channel, and graphs stay right."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from safetensors.torch import load_file, save_file
from tests.plain_recipes import PLAIN

from thinkport.export.quantize.recipes import ModelRecipe
from thinkport.runtime.artifact.manifest import read_manifest

LOUD, LAYER, CHANNEL, HEAD_DIM = 32.0, 1, 5, 128


@pytest.fixture(scope="module")
def loud(nano_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference checkpoint with one channel of a layer's values louder, and as much quieter behind attention."""
    folder = tmp_path_factory.mktemp("loud") / "checkpoint"
    shutil.copytree(nano_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    attention = f"model.layers.{LAYER}.self_attn"
    value, output = weights[f"{attention}.v_proj.weight"], weights[f"{attention}.o_proj.weight"]
    queries = output.shape[1] // value.shape[0]  # heads that share a head of values; the loud channel is the first's
    value[CHANNEL] *= LOUD
    for head in range(queries):
        output[:, head * HEAD_DIM + CHANNEL] /= LOUD
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("recipe", [PLAIN[64], "fast"])
def test_a_layer_of_loud_values_has_a_scale_a_channel_for_keys_too(
    recipe: ModelRecipe | str, loud: Path, exported: Callable[..., Path]
) -> None:
    folder = exported(loud, recipe=recipe, targets=("cpu",), certificate=True)
    graph = onnx.load(folder / "cpu.onnx", load_external_data=False).graph
    forms = {}
    for node in graph.node:
        if node.op_type == "GroupQueryAttention":
            told = {attribute.name: attribute.s for attribute in node.attribute}
            forms[node.name] = (told["k_quant_type"], told["v_quant_type"])
    assert all(key == value for key, value in forms.values())
    found = read_manifest(folder).certificate
    assert found is not None
    assert {figure.graph for figure in found.figures} == {"cpu.onnx", "cpu-float32-kv.onnx"}
    assert max(figure.kl_mean for figure in found.figures) < 0.1
    assert forms[f"layers.{LAYER}.self_attn.GroupQueryAttention"] == (b"PER_CHANNEL", b"PER_CHANNEL")

"""A LoRA adapter merged at export, bit for bit as peft merges it."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.export.imports.libraries import module
from tests.export.trace.checkpoints import LLAMA, narrow_checkpoint
from transformers import AutoModelForCausalLM

from thinkport.export.certify import recertify
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.runtime.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Trained:
    """A checkpoint, an adapter for it, and the weights that peft makes of both."""

    base: Path
    adapter: Path
    merged: dict[str, torch.Tensor]


def trained(folder: Path, dtype: torch.dtype = torch.bfloat16, *, tied: bool = True, **options: Any) -> Trained:
    """An adapter whose numbers are random, saved and merged by peft."""
    peft = module("peft")
    base = narrow_checkpoint(folder / "base", **LLAMA, tie_word_embeddings=tied)
    weights = {name: weight.to(dtype) for name, weight in load_file(base / "model.safetensors").items()}
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    options = {"r": 8, "lora_alpha": 20, "target_modules": ALL} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=dtype), peft.LoraConfig(**options))
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                torch.nn.init.normal_(parameter, std=0.05)
        model.save_pretrained(folder / "adapter")
        again = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        whole = peft.PeftModel.from_pretrained(again, folder / "adapter").merge_and_unload()
    return Trained(base, folder / "adapter", dict(whole.state_dict()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 4, "layers.1.mlp.up_proj": 16}, "alpha_pattern": {"down_proj": 3}},
        {"target_modules": ["embed_tokens", "q_proj", "lm_head"], "tied": False},
        {"modules_to_save": ["lm_head", "input_layernorm"], "tied": False},
    ],
    ids=["plain", "rslora", "patterns", "tables", "modules to save"],
)
def test_every_weight_is_what_peft_makes_of_it(tmp_path: Path, dtype: torch.dtype, options: dict[str, Any]) -> None:
    made = trained(tmp_path, dtype, **options)
    plain, checkpoint = open_checkpoint(made.base), open_checkpoint(made.base, adapter=made.adapter)
    changed = 0
    for name in plain.tensors:
        found = checkpoint.read(name)
        assert (found == made.merged[name].float().numpy()).all(), name
        changed += bool((found != plain.read(name)).any())
        if found.ndim > 1:
            assert (checkpoint.rows(name, 7, 20) == found[7:20]).all()
    assert changed >= 3


def test_the_artifact_is_of_the_merged_model_and_names_the_adapter(tmp_path: Path) -> None:
    made = trained(tmp_path)
    settings = ExportSettings(
        checkpoint=str(made.base), adapter=made.adapter, output=tmp_path / "out", targets=("cpu",), recipe="int8"
    )
    manifest = export(settings).manifest
    assert (manifest.source.adapter, manifest.name) == ("adapter", "base-adapter-int8")
    assert "`base` with the adapter `adapter` merged" in (settings.output / "README.md").read_text(encoding="utf-8")
    assert manifest.certificate is not None
    assert str(manifest.certificate.command).endswith("--checkpoint base --adapter adapter")
    again = recertify(settings.output, str(made.base), made.adapter)
    assert again.figures[0].kl_mean == pytest.approx(manifest.certificate.figures[0].kl_mean, rel=0.01)
    with pytest.raises(InputError, match="was made with the adapter 'adapter' merged: give --adapter"):
        recertify(settings.output, str(made.base))


def in_config(**changes: Any) -> Any:
    def change(adapter: Path) -> None:
        file = adapter / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")

    return change


def without_config(adapter: Path) -> None:
    (adapter / "adapter_config.json").unlink()


def without_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")


def without_half(adapter: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = next(name for name in tensors if name.endswith("lora_B.weight"))
    del tensors[name]
    save_file(tensors, adapter / "adapter_model.safetensors")


def without_other_half(adapter: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith("lora_A.weight")}
    save_file(tensors, adapter / "adapter_model.safetensors")


def empty(adapter: Path) -> None:
    save_file({}, adapter / "adapter_model.safetensors")


def of_more_layers(adapter: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors = {name.replace("layers.1.", "layers.5."): tensor for name, tensor in tensors.items()}
    save_file(tensors, adapter / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.mktemp("lora"))


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (in_config(use_dora=True), UnsupportedModelError, "a LoRA with use_dora: .*merge_and_unload"),
        (in_config(bias="all"), UnsupportedModelError, "a LoRA with bias 'all'"),
        (in_config(init_lora_weights="pissa"), UnsupportedModelError, "a LoRA with init_lora_weights 'pissa'"),
        (in_config(peft_type="IA3"), UnsupportedModelError, "an adapter of type 'IA3'"),
        (in_config(r=4), CheckpointError, r"gives .* the rank 4, and its tensors have 8: correct r or rank_pattern"),
        (in_config(lora_alpha=None), CheckpointError, "lora_alpha is None"),
        (in_config(lora_alpha="8"), CheckpointError, "lora_alpha is '8'"),
        (in_config(rank_pattern={"(": 4}), CheckpointError, r"rank_pattern has '\(', which is no pattern"),
        (without_other_half, CheckpointError, r"lacks .*lora_A\.weight: save the adapter again"),
        (empty, CheckpointError, "holds no tensor, so there is nothing to merge"),
        (without_config, CheckpointError, "has no adapter_config.json"),
        (without_weights, CheckpointError, "has no adapter_model.safetensors; weights in pickle files"),
        (without_half, CheckpointError, r"lacks .*lora_B\.weight: save the adapter again"),
        (of_more_layers, CheckpointError, r"changes model\.layers\.5\..*, which the checkpoint hasn't"),
    ],
)
def test_what_can_not_be_merged_is_refused_by_name(
    example: Trained, tmp_path: Path, damage: Any, error: type[Exception], message: str
) -> None:
    adapter = shutil.copytree(example.adapter, tmp_path / "adapter")
    damage(adapter)
    with pytest.raises(error, match=message):
        open_checkpoint(example.base, adapter=adapter)


def test_what_is_no_number_is_told_of_the_adapter(example: Trained, tmp_path: Path) -> None:
    adapter = shutil.copytree(example.adapter, tmp_path / "mine")
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = next(name for name in tensors if name.endswith("q_proj.lora_B.weight"))
    tensors[name][0] = float("nan")
    save_file(tensors, adapter / "adapter_model.safetensors")
    checkpoint = open_checkpoint(example.base, adapter=adapter)
    weight = name.removeprefix("base_model.model.").replace("lora_B.weight", "weight")
    with pytest.raises(CheckpointError, match=r"in model\.safetensors with mine/adapter_model\.safetensors merged"):
        list(checkpoint.blocks(weight, 1 << 20))


def test_a_table_that_stands_for_two_is_refused(tmp_path: Path) -> None:
    made = trained(tmp_path, target_modules=["q_proj", "embed_tokens"])
    with pytest.raises(UnsupportedModelError, match=r"changes model\.embed_tokens\.weight, .* are one table: merge it"):
        open_checkpoint(made.base, adapter=made.adapter)


def test_integers_under_an_adapter_are_rounded_again_and_that_is_said(tmp_path: Path, example: Trained) -> None:
    """By hand: a whole file of compressed-tensors of 8 bits, whose weights are a quarter of the integers."""
    weights = load_file(example.base / "model.safetensors")
    tensors: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        if name.endswith("_proj.weight"):
            tensors[name] = (weight * 400).clamp(-127, 127).to(torch.int8)
            tensors[f"{name}_scale"] = torch.full((len(weight), 1), 1 / 400)
        else:
            tensors[name] = weight
    base = shutil.copytree(example.base, tmp_path / "base")
    save_file(tensors, base / "model.safetensors")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "compressed-tensors", "format": "int-quantized"}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    checkpoint = open_checkpoint(base, adapter=example.adapter)
    name = "model.layers.0.mlp.up_proj.weight"
    stem = f"base_model.model.{name.removesuffix('.weight')}"
    pair = load_file(example.adapter / "adapter_model.safetensors")
    added = pair[f"{stem}.lora_B.weight"].float() @ pair[f"{stem}.lora_A.weight"].float() * 2.5
    wanted = tensors[name].float() * tensors[f"{name}_scale"] + added
    np.testing.assert_array_equal(checkpoint.read(name), wanted.numpy())
    settings = ExportSettings(
        checkpoint=str(base), adapter=example.adapter, output=tmp_path / "out", targets=("cpu",), certificate=False
    )
    notes = export(settings).manifest.recipe.notes
    assert any("rounded by accurate" in note and note.endswith("an adapter is merged into it") for note in notes)

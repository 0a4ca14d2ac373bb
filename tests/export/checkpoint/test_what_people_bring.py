"""What lies in folders that people export: one sentence for each, and a cure that works."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer as Backend

from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.checkpoint.tokenizer_files import (
    check_ids,
    copy_tokenizer_files,
    tokenizer_of,
    unknown_tokens,
    with_merges_as_texts,
)
from thinkport.export.errors import CheckpointError, ExportError, UnsupportedModelError
from thinkport.export.preflight import check_architecture
from thinkport.runtime.artifact.manifest import Task

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def configure(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def renamed(folder: Path, name: Callable[[str], str]) -> None:
    tensors = {name(old): rows for old, rows in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def adapter_in(folder: Path, *, weights: bool = True) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "a/base"}))
    if weights:
        save_file({"x": np.zeros((1, 1), np.float32)}, folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module.", "_fsdp_wrapped_module."]
)
def test_what_a_training_program_put_before_the_names_is_taken_off_and_said(folder: Path, prefix: str) -> None:
    expected = {name: open_checkpoint(folder).read(name) for name in open_checkpoint(folder).tensors}
    renamed(folder, lambda name: prefix + name)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.tensors.keys() == expected.keys()
    for name, rows in expected.items():
        np.testing.assert_array_equal(checkpoint.read(name), rows)
    assert any("named without" in note for note in checkpoint.notes)


def test_a_padding_token_that_the_model_has_no_id_for_is_said(folder: Path) -> None:
    size = last_id(folder) + 1
    add_tokens(folder, {"<pad>": size, "<doc>": size + 1})
    checkpoint = open_checkpoint(folder)
    check_ids(checkpoint, size, ("<think>", "</think>"), {})
    assert unknown_tokens(checkpoint, size + 2) == []
    assert unknown_tokens(checkpoint, size) == [
        f"the model has {size} ids and none for <pad>, <doc>: text that spells such a token stays text"
    ]


def test_a_token_that_the_tokenizers_configuration_alone_adds_is_refused(folder: Path) -> None:
    size = last_id(folder) + 1
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    config.setdefault("added_tokens_decoder", {})[str(size)] = {"content": "<doc>", "special": False}
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"adds <doc>, which tokenizer\.json lacks: write both anew"):
        check_ids(open_checkpoint(folder), size + 1, ("<think>", "</think>"), {})
    add_tokens(folder, {"<doc>": size})
    check_ids(open_checkpoint(folder), size + 1, ("<think>", "</think>"), {})


def test_a_vocabulary_that_is_larger_than_the_models_is_refused(folder: Path) -> None:
    last = tokenizer_of(open_checkpoint(folder)).last_id
    with pytest.raises(CheckpointError, match=f"the last token of .* is {last} and the model has {last} ids"):
        check_ids(open_checkpoint(folder), last, ("<none>", "</none>"), {})


def test_the_artifacts_tokenizer_is_the_checkpoints_in_a_form_that_is_read_faster(folder: Path, tmp_path: Path) -> None:
    given = (folder / "tokenizer.json").read_text(encoding="utf-8")
    backend = Backend.from_str(given)
    (folder / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")  # whose merges are pairs
    copy_tokenizer_files(open_checkpoint(folder), tmp_path)
    written = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    assert Backend.from_str(written).to_str() == backend.to_str()
    assert all(isinstance(merge, str) for merge in json.loads(written)["model"]["merges"])


@pytest.mark.parametrize(
    "merges", [[["a b", "c"]], [["#version", ":"]], ["a b"], [], [["a", "b", "c"]], [[1, 2]], None, "\\ud800"], ids=str
)
def test_a_tokenizer_that_the_faster_form_can_not_hold_stays_as_it_is(merges: Any) -> None:
    model = {"merges": [["a", "b"]], "vocab": {"\ud800": 1}} if merges == "\\ud800" else {"merges": merges}
    assert with_merges_as_texts(json.dumps({"model": model}).encode()) is None
    assert with_merges_as_texts(b"[") is None


def last_id(folder: Path) -> int:
    found = json.loads((folder / "tokenizer.json").read_text())
    return max(*found["model"]["vocab"].values(), *(token["id"] for token in found["added_tokens"]))


def add_tokens(folder: Path, ids: dict[str, int]) -> None:
    found = json.loads((folder / "tokenizer.json").read_text())
    like = found["added_tokens"][0]
    found["added_tokens"] += [{**like, "content": content, "id": number} for content, number in ids.items()]
    (folder / "tokenizer.json").write_text(json.dumps(found))


def test_wrappers_inside_of_names_are_taken_off_too(folder: Path) -> None:
    names = open_checkpoint(folder).tensors.keys()
    renamed(folder, lambda name: name.replace("layers.0.", "layers.0._checkpoint_wrapped_module."))
    assert open_checkpoint(folder).tensors.keys() == names


def test_two_tensors_of_one_name_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["_orig_mod.model.norm.weight"] = tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"would both be model\.norm\.weight: save the checkpoint again"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json", "LICENSE"]
)
def test_a_pointer_of_git_lfs_is_named_with_the_command_that_fetches_the_file(folder: Path, name: str) -> None:
    (folder / name).write_bytes(POINTER)
    with pytest.raises(CheckpointError, match=rf"{name} is a pointer of Git LFS, .*run `git lfs pull` in "):
        open_checkpoint(folder)


@pytest.mark.parametrize("method", ["bitsandbytes", "hqq", "modelopt", "mxfp4"])
def test_plain_weights_with_a_left_over_entry_are_called_plain(folder: Path, method: str) -> None:
    configure(folder, quantization_config={"quant_method": method})
    with pytest.raises(CheckpointError, match=rf"by {method}, which can't be read, and none of the weights is quant"):
        open_checkpoint(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    open_checkpoint(folder)


def test_weights_that_are_quantized_are_still_refused_by_the_method(folder: Path) -> None:
    configure(folder, quantization_config={"quant_method": "bitsandbytes"})
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight.absmax"] = np.ones(4, np.float32)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match=r"its 4-bit numbers are no integers"):
        open_checkpoint(folder)


def test_a_method_whose_form_cannot_be_read_says_so_of_plain_weights_too(folder: Path) -> None:
    configure(folder, quantization_config={"quant_method": "gptq", "bits": 3})
    with pytest.raises(CheckpointError, match=r"by GPTQ with 3 bits.*none of the weights is quantized: remove"):
        open_checkpoint(folder)


def test_an_adapters_folder_is_called_that_with_its_base(tmp_path: Path) -> None:
    adapter_in(tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=r"is an adapter and no checkpoint: give .*'a/base'.* and --adapter"):
        open_checkpoint(tmp_path / "adapter")


@pytest.mark.parametrize("weights", [True, False])
def test_an_adapter_beside_a_model_is_not_left_out_in_silence(folder: Path, tmp_path: Path, weights: bool) -> None:
    adapter_in(folder, weights=weights)
    with pytest.raises(
        CheckpointError, match=r"also holds an adapter .*merge it with --adapter .*or move its two files"
    ):
        open_checkpoint(folder)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).unlink(missing_ok=True)
    open_checkpoint(folder)


def test_another_adapter_does_not_hide_the_one_beside_the_model(folder: Path, tmp_path: Path) -> None:
    adapter_in(folder)
    adapter_in(tmp_path / "other")
    with pytest.raises(CheckpointError, match="also holds an adapter"):
        open_checkpoint(folder, adapter=tmp_path / "other")


@pytest.mark.parametrize(
    ("architecture", "task", "message"),
    [
        ("Qwen3ForSequenceClassification", None, "is a Qwen3ForSequenceClassification, which gives classes or scores"),
        ("Qwen3ForTokenClassification", Task.CHAT, "which gives classes or scores"),
        ("LlamaForQuestionAnswering", None, "which gives classes or scores"),
        ("Qwen3Model", None, "a model without lm_head, as embedding models are saved, .*give --task embedding, or"),
    ],
)
def test_a_model_with_another_head_is_called_what_it_is(folder: Path, architecture, task, message) -> None:
    configure(folder, architectures=[architecture])
    with pytest.raises(ExportError, match=message):
        check_architecture(open_checkpoint(folder), task)


@pytest.mark.parametrize("task", [Task.CHAT, Task.EMBEDDING])
def test_a_model_without_head_is_taken_for_what_is_asked(folder: Path, task: Task) -> None:
    configure(folder, architectures=["Qwen3Model"])
    check_architecture(open_checkpoint(folder, task=task), task)


@pytest.mark.parametrize("changes", [{"is_causal": False}, {"use_bidirectional_attention": True}])
def test_a_model_whose_tokens_see_later_ones_is_refused(folder: Path, changes: dict[str, bool]) -> None:
    from thinkport.export.families import shape_of

    configure(folder, **changes)
    with pytest.raises(UnsupportedModelError, match="tokens attend to later ones"):
        shape_of(open_checkpoint(folder))

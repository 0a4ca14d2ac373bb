"""Opening a folder: what is read, and one sentence for each way in which it can be broken."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.errors import CheckpointError
from thinkport.runtime.prompt.template import ChatTemplate

INDEX = "model.safetensors.index.json"


def shard(folder: Path) -> None:
    """Split the single file into one for each tensor, with an index."""
    weight_map = {}
    for number, (name, tensor) in enumerate(load_file(folder / "model.safetensors").items()):
        weight_map[name] = f"model-{number}.safetensors"
        save_file({name: tensor}, folder / weight_map[name])
    (folder / "model.safetensors").unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))


def change(file: Path, edit: Callable[[dict[str, NDArray[np.generic]]], None]) -> None:
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file)


def test_a_folder_gives_its_configuration_template_and_tensors(tiny: Path) -> None:
    checkpoint = open_checkpoint(tiny)
    assert (checkpoint.id, checkpoint.revision) == ("tiny", None)
    assert checkpoint.config == {"model_type": "qwen3"}
    assert checkpoint.generation_config == {"top_k": 20}
    assert checkpoint.chat_template == "{{ messages }}"
    assert {name: entry.shape for name, entry in checkpoint.tensors.items()} == {
        "weight": (6, 4),
        "half": (2, 3),
        "norm": (4,),
    }


def test_shards_read_as_one_file_does(tiny: Path) -> None:
    whole = {name: open_checkpoint(tiny).read(name) for name in ("weight", "half", "norm")}
    shard(tiny)
    for name, expected in whole.items():
        np.testing.assert_array_equal(open_checkpoint(str(tiny)).read(name), expected)


def test_blocks_cover_a_tensor_once_within_their_bytes(tiny: Path) -> None:
    blocks = list(open_checkpoint(tiny).blocks("weight", max_bytes=70))
    assert [(start, len(rows)) for start, rows in blocks] == [(0, 4), (4, 2)]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in blocks]).ravel(), np.arange(24))


def test_a_block_is_at_least_one_row(tiny: Path) -> None:
    assert [start for start, _ in open_checkpoint(tiny).blocks("weight", max_bytes=1)] == list(range(6))


def test_a_template_of_its_own_file_comes_before_the_one_in_the_configuration(tiny: Path) -> None:
    (tiny / "chat_template.jinja").write_text("{{ 'é' }}", encoding="utf-8")
    assert open_checkpoint(tiny).chat_template == "{{ 'é' }}"


def test_of_several_named_templates_the_default_one_is_taken(tiny: Path) -> None:
    templates = [{"name": "tools", "template": "a"}, {"name": "default", "template": "b"}]
    (tiny / "tokenizer_config.json").write_text(json.dumps({"chat_template": templates}))
    assert open_checkpoint(tiny).chat_template == "b"


PLAIN, TOOLS = (
    "\n{% for m in messages %}{{ m.content }}\n{% endfor %}\n  ",
    "T{{ tools | length }}{{ messages | length }}\n",
)


@pytest.mark.parametrize("form", ["list", "object", "files"])
def test_a_template_for_tools_is_taken_where_there_are_tools(tiny: Path, form: str) -> None:
    named: dict[str, object] = {
        "list": [{"name": "tool_use", "template": TOOLS}, {"name": "default", "template": PLAIN}]
    }
    named |= {"object": {"tool_use": TOOLS, "default": PLAIN}, "files": None}
    (tiny / "tokenizer_config.json").write_text(json.dumps({"chat_template": named[form]}))
    if form == "files":
        (tiny / "additional_chat_templates").mkdir()
        (tiny / "chat_template.jinja").write_text(PLAIN)
        (tiny / "additional_chat_templates" / "tool_use.jinja").write_text(TOOLS)
    both, asked = open_checkpoint(tiny).chat_template, [{"role": "user", "content": "hi"}]
    assert both is not None
    for source, tools in ((PLAIN, None), (TOOLS, []), (TOOLS, [{"name": "f"}])):
        alone = ChatTemplate(source, {}).render(asked, tools=tools)
        assert ChatTemplate(both, {}).render(asked, tools=tools) == alone
    assert "{%+" not in both  # which the template engine of the page does not read


def test_named_templates_without_a_default_are_refused(tiny: Path) -> None:
    named = [{"name": "rag", "template": PLAIN}, {"name": "tool_use", "template": TOOLS}]
    (tiny / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    with pytest.raises(CheckpointError, match=r"are named rag, tool_use, and none is the default"):
        open_checkpoint(tiny)


def test_a_base_model_has_no_chat_template(tiny: Path) -> None:
    (tiny / "tokenizer_config.json").unlink()
    assert open_checkpoint(tiny).chat_template is None


def test_generation_settings_are_optional(tiny: Path) -> None:
    (tiny / "generation_config.json").unlink()
    assert open_checkpoint(tiny).generation_config is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_named_with_its_place(tiny: Path, value: float) -> None:
    def spoil(tensors: dict[str, NDArray[np.generic]]) -> None:
        tensors["weight"][4, 1] = value

    change(tiny / "model.safetensors", spoil)
    checkpoint = open_checkpoint(tiny)
    assert checkpoint.rows("weight", 0, 4).shape == (4, 4)
    with pytest.raises(CheckpointError, match=rf"weight holds {value} at \[4, 1\] in model.safetensors"):
        checkpoint.rows("weight", 3, 6)


def test_a_tensor_that_is_not_there_is_an_error_of_the_checkpoint(tiny: Path) -> None:
    with pytest.raises(CheckpointError, match="tiny has no tensor bias"):
        open_checkpoint(tiny).read("bias")


def test_an_empty_folder_is_called_empty(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is empty; expected config.json"):
        open_checkpoint(tmp_path)


def test_pickled_weights_are_refused_with_the_reason_and_the_way_out(tiny: Path) -> None:
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin: a pickle can run any code .*\.save_pretrained"):
        open_checkpoint(tiny)


def test_a_folder_without_weights_says_what_was_expected(tiny: Path) -> None:
    (tiny / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no \*.safetensors; expected model.safetensors"):
        open_checkpoint(tiny)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer.json"),
    ],
)
def test_a_missing_file_is_named(tiny: Path, file: str, message: str) -> None:
    (tiny / file).unlink()
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(tiny)


@pytest.mark.parametrize(("text", "message"), [("{", "isn't valid JSON"), ("[]", "holds a list; expected an object")])
def test_a_configuration_that_is_no_object_is_refused(tiny: Path, text: str, message: str) -> None:
    (tiny / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(tiny)


def test_a_missing_shard_is_named(tiny: Path) -> None:
    shard(tiny)
    (tiny / "model-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks the shard model-1.safetensors, of 3"):
        open_checkpoint(tiny)


def test_an_index_that_disagrees_with_a_shard_is_refused(tiny: Path) -> None:
    shard(tiny)
    index = json.loads((tiny / INDEX).read_text())
    index["weight_map"]["ghost"] = "model-0.safetensors"
    (tiny / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"says that model-0.safetensors holds ghost, and it doesn't"):
        open_checkpoint(tiny)


def test_a_tensor_in_two_shards_is_refused_as_nobody_knows_which_counts(tiny: Path) -> None:
    shard(tiny)
    shutil.copyfile(tiny / "model-0.safetensors", tiny / "model-4.safetensors")
    index = json.loads((tiny / INDEX).read_text())
    index["weight_map"]["other"] = "model-4.safetensors"
    (tiny / INDEX).write_text(json.dumps(index))
    with pytest.raises(
        CheckpointError, match=r"lies in model-0.safetensors and in model-4.safetensors; expected it once"
    ):
        open_checkpoint(tiny)


@pytest.mark.parametrize("path", ["../other.safetensors", "/etc/other.safetensors", "..\\other.safetensors"])
def test_an_index_that_leads_out_of_the_folder_is_refused(tiny: Path, path: str) -> None:
    (tiny / "model.safetensors").unlink()
    (tiny / INDEX).write_text(json.dumps({"weight_map": {"weight": path}}))
    with pytest.raises(CheckpointError, match="isn't a file of the checkpoint's own folder"):
        open_checkpoint(tiny)


def test_several_files_without_an_index_are_refused(tiny: Path) -> None:
    shard(tiny)
    (tiny / INDEX).unlink()
    with pytest.raises(CheckpointError, match="3 safetensors files but no"):
        open_checkpoint(tiny)


def test_truncated_weights_are_noticed_before_any_is_read(tiny: Path) -> None:
    file = tiny / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"model.safetensors is cut short"):
        open_checkpoint(tiny)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are another matter there")
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_can_not_be_read_is_named(tiny: Path, name: str) -> None:
    if os.geteuid() == 0:  # root may read anything, but nobody may read a folder as a file
        (tiny / name).unlink()
        (tiny / name).mkdir()
    else:
        (tiny / name).chmod(0)
    with pytest.raises(CheckpointError, match=rf"{name} can't be read: .*; check its permissions"):
        open_checkpoint(tiny)


def test_a_file_in_place_of_a_folder_is_refused(tiny: Path) -> None:
    with pytest.raises(CheckpointError, match="is a file; expected a checkpoint's folder, a \\.gguf file or a Hub id"):
        open_checkpoint(tiny / "model.safetensors")

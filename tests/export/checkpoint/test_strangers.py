"""Checkpoints that strangers made to do harm: refused at once, in a sentence."""

import json
import os
import shutil
import sys
from pathlib import Path
from time import thread_time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.export.trace.checkpoints import MIXTURE, NARROW

from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.checkpoint.adapter import merged, read_adapter
from thinkport.export.checkpoint.gguf.header import read_gguf_header
from thinkport.export.checkpoint.tokenizer_files import copy_tokenizer_files, tokenizer_of
from thinkport.export.errors import CheckpointError, ExportError
from thinkport.export.families import family_of

TAKEN_ALONG = ["LICENSE", "tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"]
NESTED = "[" * 200_000
ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are those of POSIX systems")


def replaced_by_link(file: Path, to: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to(to)


@ON_POSIX
@pytest.mark.parametrize(
    "name",
    [*TAKEN_ALONG, "LICENSE.txt", "NOTICE", "README.md", "chat_template.jinja", "model.safetensors"],
)
def test_a_link_out_of_the_folder_is_refused_and_nothing_of_it_is_read(folder: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes((folder / name).read_bytes() if (folder / name).exists() else b"a private key")
    replaced_by_link(folder / name, secret)
    with pytest.raises(CheckpointError, match=rf"{name} is a link to .*secret, out of the checkpoint's folder: put"):
        open_checkpoint(folder)


@ON_POSIX
def test_links_within_the_folder_and_within_the_hubs_cache_stay(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "words.json")
    replaced_by_link(folder / "tokenizer.json", Path("words.json"))
    open_checkpoint(folder)
    repository = tmp_path / "cache" / "models--a--b"
    snapshot = repository / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for at, file in enumerate(folder.iterdir()):
        shutil.copyfile(file, repository / "blobs" / str(at))
        (snapshot / file.name).symlink_to(Path("../../blobs") / str(at))
    opened = open_checkpoint(snapshot)
    (tmp_path / "copy").mkdir()
    copy_tokenizer_files(opened, tmp_path / "copy")
    assert not (tmp_path / "copy" / "tokenizer.json").is_symlink()


@ON_POSIX
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "model.safetensors", "chat_template.jinja"])
def test_a_pipe_does_not_make_it_wait(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(CheckpointError, match="is no regular file"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json", "modules.json"])
def test_a_file_that_is_nested_without_end_is_no_json(folder: Path, name: str) -> None:
    (folder / name).write_text(NESTED)
    with pytest.raises(CheckpointError, match=r"nested too deeply|recursion"):
        open_checkpoint(folder)


def safetensors_with(folder: Path, header: bytes, length: int | None = None) -> None:
    size = (len(header) if length is None else length).to_bytes(8, "little")
    (folder / "model.safetensors").write_bytes(size + header)


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (NESTED.encode(), None),
        (b'{"a":' * 100_000, None),
        (b"{}", 1 << 60),
        (b'{"a": {"dtype": "F32", "shape": [' + b"9" * 4000 + b'], "data_offsets": [0, 4]}}', None),
        (b'{"a": {"dtype": "F32", "shape": [1' + b",1" * 100_000 + b'], "data_offsets": [0, 4]}}', None),
        (b'{"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}', None),
        (b'{"a": {"dtype": "F32", "shape": "11", "data_offsets": [0, 4]}}', None),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": 4}}', None),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 1e400]}}', None),
        (b'{"a": 5}', None),
        (b"[]", None),
    ],
)
def test_a_header_that_lies_is_refused_at_once(folder: Path, header: bytes, length: int | None) -> None:
    safetensors_with(folder, header, length)
    begun = thread_time()
    with pytest.raises(CheckpointError):
        open_checkpoint(folder)
    assert thread_time() - begun < 2


def test_a_layers_number_of_thousands_of_digits_is_no_layer(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[f"model.layers.{'9' * 5000}.mlp.up_proj.weight"] = np.zeros((1, 1), np.float32)
    save_file(tensors, folder / "model.safetensors")
    checkpoint = open_checkpoint(folder)
    family = family_of(checkpoint.config)
    with pytest.raises(ExportError, match="which such a model doesn't"):
        family.check_weights(checkpoint.tensors, family.shape(checkpoint.config))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 10**400},
        {"num_attention_heads": 10**12},
        {"num_key_value_heads": 10**12, "num_attention_heads": 10**12},
        {"head_dim": 10**12},
        {"hidden_size": 10**12},
        {"intermediate_size": 10**12},
        {"vocab_size": 10**12},
        {"max_position_embeddings": 10**30},
        {"rope_theta": 10**400},
        {"rope_theta": float("inf")},
        {"rms_norm_eps": float("inf")},
        {"rope_scaling": {"rope_type": "yarn", "factor": float("inf"), "original_max_position_embeddings": 64}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 10**12}},
        {"rope_scaling": {"rope_type": "linear", "factor": 10**400}},
        {"rope_scaling": {"rope_type": ["yarn"]}},
        {"rope_scaling": 5},
        {"layer_types": {"a": 1}},
        {"model_type": ["qwen3"]},
    ],
    ids=str,
)
def test_sizes_that_no_model_has_are_refused_at_once(changes: dict) -> None:
    from thinkport.export.checkpoint.checkpoint import as_expected

    begun = thread_time()
    with pytest.raises(ExportError), as_expected("config.json"):  # noqa: PT012
        config = NARROW | changes
        family_of(config).shape(config)
    assert thread_time() - begun < 1


@pytest.mark.parametrize(
    "changes", [{"num_experts": 10**9}, {"num_experts": 10**6}, {"num_hidden_layers": 4096, "num_experts": 60_000}]
)
def test_experts_that_no_model_has_are_refused_at_once(changes: dict) -> None:
    config = NARROW | MIXTURE | changes
    begun = thread_time()
    with pytest.raises(CheckpointError, match="no model is that large"):
        family_of(config).shape(config)
    assert thread_time() - begun < 1


@pytest.mark.parametrize(
    "content",
    [
        b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16,
        b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
        # general.alignment = 0
        + (17).to_bytes(8, "little") + b"general.alignment" + (4).to_bytes(4, "little") + (0).to_bytes(4, "little"),
        b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
        # an array of arrays of arrays …
        + (1).to_bytes(8, "little") + b"a" + (9).to_bytes(4, "little")
        + ((9).to_bytes(4, "little") + (1).to_bytes(8, "little")) * 50_000,
        b"GGUF" + (3).to_bytes(4, "little") + (1).to_bytes(8, "little") + (0).to_bytes(8, "little")
        + (1).to_bytes(8, "little") + b"a" + b"\xff" * 4,
    ],
    ids=["counts", "alignment 0", "nested arrays", "dimensions"],
)  # fmt: skip
def test_a_gguf_header_that_lies_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    begun = thread_time()
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        read_gguf_header(tmp_path / "a.gguf")
    assert thread_time() - begun < 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"r": 0}, "r is 0"),
        ({"r": "1"}, "r is '1'"),
        ({"lora_alpha": "16"}, "lora_alpha is '16'"),
        ({"rank_pattern": {"(a+)+$": 2}}, "without groups that repeat"),
        ({"alpha_pattern": {"(.*)*.*.*.*x": 2}}, "without groups that repeat"),
        ({"rank_pattern": {".*.*.*.*.*.*.*.*y": 2}}, "without groups that repeat"),
    ],
    ids=str,
)
def test_an_adapter_whose_numbers_or_patterns_do_harm_is_refused(folder: Path, tmp_path: Path, config, message) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    whole = {"peft_type": "LORA", "r": 1, "lora_alpha": 2, **config}
    (adapter / "adapter_config.json").write_text(json.dumps(whole))
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    factors = {"lora_A": np.zeros((1, 64), np.float32), "lora_B": np.zeros((128, 1), np.float32)}
    save_file(
        {f"{module}.{part}.weight": rows for part, rows in factors.items()}, adapter / "adapter_model.safetensors"
    )
    with pytest.raises(CheckpointError, match=message):
        merged(open_checkpoint(folder).tensors, read_adapter(adapter), tied=True)


def test_a_value_of_another_kind_is_a_sentence(folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([{"type": "x.Pooling", "path": "1_Pooling"}]))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("[]")
    with pytest.raises(CheckpointError):
        open_checkpoint(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": [5]}))
    with pytest.raises(CheckpointError):
        open_checkpoint(folder)


def test_a_tokenizer_over_which_its_library_panics_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Rust code raises that fails an assertion of its own is no Exception."""
    from thinkport.runtime.prompt import tokenizer

    class PanicException(BaseException):
        pass

    class Backend:
        @staticmethod
        def from_str(_: str) -> None:
            raise PanicException("index out of bounds")

    monkeypatch.setattr(tokenizer, "Backend", Backend)
    with pytest.raises(
        CheckpointError, match=r"the tokenizer\.json of checkpoint can't be used \(index out of bounds\)"
    ):
        tokenizer_of(open_checkpoint(folder))

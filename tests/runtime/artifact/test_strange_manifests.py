"""Manifests and goldens that strangers made: refused in a sentence, before memory is reserved or anything runs."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from thinkport.runtime.artifact.goldens import FORMAT, read_goldens, read_own_goldens
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest
from thinkport.runtime.errors import ArtifactError

SAMPLE = Path(__file__).parents[2] / "contract" / "manifest.json"
Change = Callable[[dict[str, Any]], object]


def at(*path: Any, value: Any) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        *above, last = path
        for part in above:
            manifest = manifest[part]
        manifest[last] = value

    return change


def written(folder: Path, change: Change) -> Path:
    manifest = json.loads(SAMPLE.read_text(encoding="utf-8"))
    change(manifest)
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


ESCAPE = "\x1b[2J\x1b]0;title\x07"
ODD: dict[str, Change] = {
    "100,000 layers": at("model", "layers", value=100_000),
    "huge heads": at("model", "kv_heads", value=10**9),
    "wide heads": lambda made: made["model"].update(kv_heads=1 << 15, attention_heads=1 << 15, head_dim=1 << 15),
    "a number of 400 digits": at("model", "vocab_size", value=10**400),
    "an endless context": at("model", "context_length", value=10**12),
    "no graph": at("graphs", value=[]),
    "no provider": at("graphs", 0, "providers", value=[]),
    "no output": at("graphs", 0, "outputs", value=[]),
    "an endless chunk": at("graphs", 0, "prefill_chunk", value=10**12),
    "a stop id out of range": at("stop_ids", value=[10**7]),
    "a negative stop id": at("stop_ids", value=[-1]),
    "a thinking id out of range": at("thinking", "end", value=10**7),
    "a file of so many bytes": at("files", "weights.bin", "bytes", value=1 << 60),
    "infinity": at("recipe", "bits_per_weight", value=float("inf")),
    "no number": at("certificate", "figures", 0, "kl_mean", value=float("nan")),
    "an escape sequence in the name": at("name", value=f"a{ESCAPE}"),
    "an escape sequence in the source": at("source", "id", value=ESCAPE),
    "an escape sequence in a tool": at("tools", value={"thinkport": ESCAPE}),
    "an escape sequence in a tool's name": at("tools", value={ESCAPE: "1"}),
    "an escape sequence in a note": at("recipe", "notes", value=[ESCAPE]),
    "an escape sequence in the warning": at("certificate", "warning", value=ESCAPE),
    "an escape sequence in a pass": at("passes", 0, "name", value=ESCAPE),
    "an escape sequence in an input": at("graphs", 0, "inputs", 0, "name", value=ESCAPE),
    "an escape sequence in a special token": at("special_tokens", "eos_token", value=ESCAPE),
    "an 8-bit escape sequence": at("name", value="a\x9b2J"),
    "a line end in the name": at("name", value="a\nsize 1 MB"),
    "a carriage return in the source": at("source", "id", value="bad\rgood"),
    "letters in another order": at("name", value="a\u202egnp.exe"),
    "half a letter": at("name", value="a\ud800"),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_a_manifest_that_no_export_writes_is_refused_in_one_line(tmp_path: Path, change: Change) -> None:
    begun = thread_time()
    with pytest.raises(ArtifactError) as refused:
        read_manifest(written(tmp_path, change))
    assert thread_time() - begun < 1
    assert str(refused.value).isprintable()
    assert MANIFEST_NAME in str(refused.value)


def test_texts_of_prompts_may_have_lines_and_any_script(tmp_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["special_tokens"] = {"eos_token": "<end>\n"}
        manifest["name"] = "qwen3 日本語 עברית é"
        manifest["recipe"]["notes"] = ["a note\nin two lines"]

    assert read_manifest(written(tmp_path, change)).name.startswith("qwen3")


@pytest.mark.parametrize(
    "text", ["[" * 500_000, '{"a":' * 500_000, '{"schema_version": ' + "9" * 10_000 + "}", "\ufeff{}", '"a"', ""]
)
def test_a_manifest_that_is_nested_or_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError):
        read_manifest(tmp_path)


def test_an_entry_that_is_ignored_may_be_nested(tmp_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        deep: Any = 1
        for _ in range(90):
            deep = [deep]
        manifest["graphs"][0]["prefill"] = deep

    assert read_manifest(written(tmp_path, change)).graphs[0].prefill is not None


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with names are those of POSIX systems")
def test_a_pipe_does_not_make_it_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST_NAME)
    with pytest.raises(ArtifactError, match="it is no regular file"):
        read_manifest(tmp_path)
    os.mkfifo(tmp_path / "goldens.safetensors")
    with pytest.raises(ArtifactError, match="no regular file"):
        read_goldens(tmp_path / "goldens.safetensors")


def test_a_file_in_place_of_an_artifact_is_told_what_to_do_with_it(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(
        ArtifactError, match=r"model\.gguf is a file, expected an artifact's folder: .*thinkport export"
    ):
        read_manifest(tmp_path / "model.gguf")


def golden_tensors() -> dict[str, np.ndarray]:
    tensors = {
        "sample_ids": np.arange(8),
        "00-a.ids": np.arange(4),
        "00-a.rows": np.array([1, 3]),
        "00-a.top_ids": np.arange(6).reshape(2, 3),
        "00-a.top_logprobs": np.full((2, 3), -1, np.float32),
        "00-a.sample_logits": np.zeros((2, 8), np.float32),
        "00-a.own_steps": np.array([2, 1, 1]),
        "00-a.own_rows": np.array([1, 3]),
        "00-a.own_logits:cpu": np.zeros((2, 8), np.float32),
        "00-a.own_top_ids:cpu": np.arange(6).reshape(2, 3),
        "00-a.own_top_logprobs:cpu": np.full((2, 3), -1, np.float32),
        "00-a.own_spread:cpu": np.zeros((2, 2), np.float32),
    }
    return {name: np.ascontiguousarray(values) for name, values in tensors.items()}


def test_the_goldens_of_these_tests_are_sound_before_they_are_changed(tmp_path: Path) -> None:
    (tmp_path / "g").write_bytes(save(golden_tensors(), {"format": FORMAT}))
    assert len(read_goldens(tmp_path / "g")) == len(read_own_goldens(tmp_path / "g")) == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("00-a.ids", np.zeros(0, np.int64)),
        ("00-a.ids", np.array([0, -1, 2, 3])),
        ("00-a.ids", np.zeros((2, 2), np.int64)),
        ("00-a.ids", np.zeros(1 << 17, np.int64)),
        ("00-a.ids", np.zeros(4, np.float32)),
        ("00-a.rows", np.array([1, 9])),
        ("00-a.rows", np.array([3, 1])),
        ("00-a.rows", np.zeros(0, np.int64)),
        ("00-a.rows", np.array([-1, 3])),
        ("00-a.top_ids", np.zeros((2, 2), np.int64)),
        ("00-a.top_ids", np.full((2, 3), -5)),
        ("00-a.sample_logits", np.zeros((2, 7), np.float32)),
        ("sample_ids", np.full(8, -1)),
    ],
)
def test_goldens_whose_parts_do_not_belong_together_are_refused(tmp_path: Path, name: str, values: np.ndarray) -> None:
    (tmp_path / "g").write_bytes(save({**golden_tensors(), name: values}, {"format": FORMAT}))
    with pytest.raises(ArtifactError, match="can't be read as goldens"):
        read_goldens(tmp_path / "g")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("00-a.own_steps", np.array([0, 1, 1])),
        ("00-a.own_steps", np.array([2, -1, 1])),
        ("00-a.own_rows", np.array([1, 9])),
        ("00-a.own_logits:cpu", np.zeros((3, 8), np.float32)),
    ],
)
def test_own_goldens_whose_parts_do_not_belong_together_are_refused(tmp_path: Path, name: str, values) -> None:
    (tmp_path / "g").write_bytes(save({**golden_tensors(), name: values}, {"format": FORMAT}))
    with pytest.raises(ArtifactError, match="can't be read as goldens"):
        read_own_goldens(tmp_path / "g")


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 300_000,
        b'{"__metadata__": {"format": "%s"}, "a.ids": {"dtype": "I64", "shape": [-1], "data_offsets": [0, 8]}}',
        b'{"__metadata__": {"format": "%s"}, "a.ids": {"dtype": "I64", "shape": [1], "data_offsets": [-8, 0]}}',
        b'{"__metadata__": {"format": "%s"}, "a.ids": {"dtype": "I64", "shape": [4294967296], "data_offsets": [0, 8]}}',
        b'{"__metadata__": 5}',
    ],
)
def test_a_goldens_header_that_lies_is_refused(tmp_path: Path, header: bytes) -> None:
    header = header.replace(b"%s", FORMAT.encode())
    (tmp_path / "g").write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    with pytest.raises(ArtifactError):
        read_goldens(tmp_path / "g")


def test_goldens_of_ids_that_the_model_lacks_are_an_error_of_the_artifact(nano_artifact: Path, tmp_path: Path) -> None:
    from thinkport.deploy.verification import verify

    folder = shutil.copytree(nano_artifact, tmp_path / "artifact")
    path = folder / "goldens.safetensors"
    tensors = load_file(path)
    tensors["sample_ids"] = tensors["sample_ids"] + 10**6
    path.write_bytes(save(tensors, {"format": FORMAT}))
    from tests.deploy.verification.test_verify import rewritten

    rewritten(folder, path.name)
    found = verify(folder)
    assert not found.passed
    assert any("different models" in check.detail for check in found.checks if not check.passed)

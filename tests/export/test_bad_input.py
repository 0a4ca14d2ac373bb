"""What a person gets wrong, at the command line: one clear sentence, an exit code, and nothing left behind."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.export.trace.checkpoints import narrow_checkpoint
from tests.export.write.fake_artifact import content_of, fill

from thinkport.export.view import WORDS
from thinkport.runtime import Model
from thinkport.runtime.cli.main import main
from thinkport.runtime.errors import ArtifactError, InputError

Run = Callable[..., tuple[int, str]]
PROJECTION = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the console command; its exit code and the error, which must be the only thing said but for stages."""

    def command(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["thinkport", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        *stages, error = capsys.readouterr().err.splitlines()
        assert all(line.startswith(tuple(WORDS.values())) for line in stages)
        assert error.startswith("thinkport: ")
        assert isinstance(ended.value.code, int)
        return ended.value.code, error

    return command


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return narrow_checkpoint(tmp_path_factory.mktemp("whole") / "whole")


@pytest.fixture
def checkpoint(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "checkpoint")


def in_json(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(values | changes), encoding="utf-8")

    return change


configure = partial(in_json, "config.json")
generating = partial(in_json, "generation_config.json")


def with_tensors(change: Callable[[dict[str, np.ndarray]], None]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return rewrite


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_short(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def lacking_a_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    names = load_file(folder / "model-00001-of-00002.safetensors")
    weight_map = dict.fromkeys(names, "model-00001-of-00002.safetensors")
    weight_map[PROJECTION] = "model-00002-of-00002.safetensors"
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def transposed(tensors: dict[str, np.ndarray]) -> None:
    tensors[PROJECTION] = np.ascontiguousarray(tensors[PROJECTION].T)


def without_one(tensors: dict[str, np.ndarray]) -> None:
    del tensors[PROJECTION]


def folder_in_place_of(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


CHECKPOINTS = {
    "GPTQ of 3 bits": (configure(quantization_config={"quant_method": "gptq", "bits": 3}), "by GPTQ with 3 bits"),
    "plain weights called AWQ": (
        configure(quantization_config={"quant_method": "awq"}),
        "by awq, and none are: remove",
    ),
    "unknown quantization": (configure(quantization_config={"quant_method": "hqq"}), "by hqq, which can't be read"),
    "odd quantization": (configure(quantization_config=5), "quantization_config is 5; expected an object"),
    "sliding window": (configure(use_sliding_window=True, sliding_window=64), "sliding-window attention"),
    "mixed layers": (
        configure(layer_types=["full_attention", "sliding_attention"]),
        "layer_types has sliding_attention",
    ),
    "attention bias": (configure(attention_bias=True), "attention_bias is true"),
    "unknown model_type": (configure(model_type="qwen9"), "model_type 'qwen9' is not supported.*qwen3"),
    "another depth": (configure(num_hidden_layers=3), "config.json says 3 layers, the weights have 2"),
    "another width": (configure(intermediate_size=256), "config and weights disagree"),
    "empty folder": (emptied, "is empty; expected config.json"),
    "pickle": (pickled, "a pickle can run any code"),
    "missing shard": (lacking_a_shard, "lacks the shard model-00002-of-00002.safetensors"),
    "truncated weights": (cut_short, "is cut short"),
    "another shape": (with_tensors(transposed), rf"{PROJECTION} is \[128, 64\].*makes it \[64, 128\]"),
    "missing weight": (with_tensors(without_one), f"lacks {PROJECTION}"),
    "odd chat template": (in_json("tokenizer_config.json", chat_template=5), "is 5; expected a text, or a list"),
    "no config": (without("config.json"), "has no config.json"),
    "no tokenizer": (without("tokenizer.json"), "has no tokenizer.json"),
    "unreadable weights": (folder_in_place_of("model.safetensors"), "model.safetensors can't be read"),
    "unreadable config": (folder_in_place_of("config.json"), "config.json can't be read"),
    "rows that groups don't divide": (
        configure(intermediate_size=80),
        r"'accurate' doesn't fit model\.layers\.0\.mlp\.down_proj\.weight: rows of 80 .*: use --precision fp32",
    ),
    "odd heads": (configure(head_dim=24), "head_dim is 24: fused attention takes multiples of 16 only"),
    "absurd context": (configure(max_position_embeddings=10**9), "expected at most 2097152"),
    "negative top_k": (generating(top_k=-1), "generation_config.json: top_k is -1: .*greater than or equal to 0"),
    "text for top_k": (generating(top_k="x"), "top_k is 'x': input should be a valid integer"),
    "top_p 0": (generating(top_p=0), "top_p is 0: input should be greater than 0; correct it, or remove it"),
    "endless temperature": (generating(temperature=float("inf")), "temperature is inf: .* a finite number"),
    "text for a stop id": (generating(eos_token_id="a"), "eos_token_id of checkpoint is 'a'; expected an id"),
    "no stop ids": (generating(eos_token_id=[]), r"eos_token_id of checkpoint is \[\]; expected an id"),
    "stop id out of range": (generating(eos_token_id=[505, 99999]), "is 99999 and the model has 512 ids"),
    "odd added tokens": (in_json("tokenizer.json", added_tokens=5), "the tokenizer.json of checkpoint can't be used"),
    "not byte-level": (in_json("tokenizer.json", decoder=None), "can't be used .*not byte-level BPE"),
    "odd special token": (in_json("tokenizer_config.json", bos_token=5), "bos_token is 5; expected a text"),
    "template with an error": (
        in_json("tokenizer_config.json", chat_template="{% if %}"),
        "the chat template of checkpoint can't be used .*Expected an expression",
    ),
    "unreadable template": (folder_in_place_of("tokenizer_config.json"), "tokenizer_config.json can't be read"),
}


@pytest.mark.parametrize(("damage", "message"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_checkpoint_that_can_not_be_exported_is_refused_in_one_sentence(
    checkpoint: Path,
    tmp_path: Path,
    run: Run,
    damage: Callable[[Path], None],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("thinkport.export.exporter.trace", lambda *_: pytest.fail("it was traced"))
    damage(checkpoint)
    output = tmp_path / "out" / "artifact"
    output.parent.mkdir()
    code, error = run("export", checkpoint, "-o", output, "--no-certificate")
    assert code == 2
    assert re.search(message, error), error
    assert list(output.parent.iterdir()) == []


def test_a_weight_that_is_no_number_is_named_and_the_old_artifact_stays(
    checkpoint: Path, tmp_path: Path, run: Run
) -> None:
    """Seen only when the weight is read, with half the artifact written."""

    def not_a_number(tensors: dict[str, np.ndarray]) -> None:
        tensors[PROJECTION][5, 7] = np.nan

    with_tensors(not_a_number)(checkpoint)
    old = tmp_path / "out" / "artifact"
    old.mkdir(parents=True)
    fill(old, "the old one")
    code, error = run("export", checkpoint, "-o", old, "--no-certificate", "--force")
    assert (code, f"{PROJECTION} holds nan at [5, 7]" in error) == (2, True)
    assert [path.name for path in old.parent.iterdir()] == ["artifact"]
    assert content_of(old) == "the old one"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are those of POSIX systems")
def test_a_file_without_permission_is_named(checkpoint: Path, tmp_path: Path, run: Run) -> None:
    if os.getuid() == 0:
        pytest.skip("root may read every file")
    (checkpoint / "model.safetensors").chmod(0)
    code, error = run("export", checkpoint, "-o", tmp_path / "artifact")
    assert code == 2
    assert "Permission denied" in error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--recipe", "balance"], 2, "did you mean 'balanced'"),
        (["--recipe", "fast", "--precision", "fp32"], 2, "which does not quantize"),
        (["--target", "gpu"], 2, "unknown target 'gpu', expected one of: cpu"),
        (["--precision", "int2"], 2, "unknown precision 'int2', expected one of: int4, int8, fp32"),
    ],
)
def test_an_option_that_is_not_there_or_contradicts_another_is_refused(
    whole: Path, tmp_path: Path, run: Run, arguments: list[str], code: int, message: str
) -> None:
    ended, error = run("export", whole, "-o", tmp_path / "artifact", *arguments)
    assert (ended, message in error) == (code, True)
    assert list(tmp_path.iterdir()) == []


def test_an_output_inside_of_the_checkpoint_is_refused(checkpoint: Path, run: Run) -> None:
    before = sorted(checkpoint.iterdir())
    code, error = run("export", checkpoint, "-o", checkpoint / "onnx")
    assert (code, "lies inside the checkpoint" in error) == (2, True)
    assert sorted(checkpoint.iterdir()) == before


def test_an_existing_output_is_refused(whole: Path, tmp_path: Path, run: Run) -> None:
    code, error = run("export", whole, "-o", tmp_path)
    assert (code, "exists and is not an artifact" in error) == (2, True)
    fill(tmp_path, "old")
    code, error = run("export", whole, "-o", tmp_path)
    assert (code, "exists: give --force" in error) == (2, True)


def test_the_root_as_an_output_is_refused(whole: Path, run: Run) -> None:
    code, error = run("export", whole, "-o", whole.anchor)
    assert (code, "is the root of a file system" in error) == (2, True)


def test_an_output_below_a_file_is_refused(whole: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, error = run("export", whole, "-o", tmp_path / "file" / "artifact", "--force")
    assert (code, "file is not a folder" in error) == (2, True)


@pytest.fixture
def artifact(nano_artifact: Path, tmp_path: Path) -> Path:
    return shutil.copytree(nano_artifact, tmp_path / "artifact")


def manifest_with(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        manifest = json.loads((folder / "thinkport.json").read_text(encoding="utf-8"))
        change(manifest)
        (folder / "thinkport.json").write_text(json.dumps(manifest), encoding="utf-8")

    return rewrite


def newer(manifest: dict[str, Any]) -> None:
    manifest["schema_version"] = 2


def leading_out(manifest: dict[str, Any]) -> None:
    manifest["files"]["../secret.bin"] = manifest["files"]["weights.bin"]


def one_byte_less(folder: Path) -> None:
    content = (folder / "weights.bin").read_bytes()
    (folder / "weights.bin").write_bytes(content[:-1])


def changed_byte(folder: Path) -> None:
    content = bytearray((folder / "weights.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "weights.bin").write_bytes(content)


ARTIFACTS = {
    "missing file": (without("weights.bin"), "weights.bin is missing: copy the whole artifact folder again"),
    "one byte less": (one_byte_less, "the file is damaged, copy it again"),
    "newer schema": (manifest_with(newer), "has schema version 2, this thinkport reads up to 1: upgrade thinkport"),
    "a path leading out": (manifest_with(leading_out), "'../secret.bin' leads out of the artifact's folder"),
    "no manifest": (without("thinkport.json"), "has no thinkport.json: not an artifact"),
}


@pytest.mark.parametrize("verb", ["generate", "inspect"])
@pytest.mark.parametrize(("damage", "message"), ARTIFACTS.values(), ids=ARTIFACTS)
def test_an_artifact_that_is_not_whole_is_refused_in_one_sentence(
    artifact: Path, run: Run, damage: Callable[[Path], None], message: str, verb: str
) -> None:
    damage(artifact)
    code, error = run(verb, artifact, *(["hello"] if verb == "generate" else []))
    assert code == ArtifactError.exit_code
    assert message in error


def test_a_changed_byte_is_found_when_asked_for(artifact: Path, run: Run) -> None:
    changed_byte(artifact)
    code, error = run("inspect", artifact, "--verify")
    assert code == ArtifactError.exit_code
    assert "weights.bin does not have the recorded sha256" in error
    with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256"):
        Model.load(artifact, verify=True)


def test_a_prompt_longer_than_the_context_is_refused_in_one_sentence(nano_artifact: Path, run: Run) -> None:
    code, error = run("generate", nano_artifact, "1 " * 9000)
    assert code == InputError.exit_code
    assert "8192" in error


@pytest.mark.parametrize("ids", [[512], [3, -1], []], ids=["beyond the vocabulary", "negative", "none"])
def test_ids_out_of_range_are_refused(nano_artifact: Path, ids: list[int]) -> None:
    with Model.load(nano_artifact) as model:
        sampler: Any = None
        with pytest.raises(InputError):
            model.engine().generate(ids, sampler)

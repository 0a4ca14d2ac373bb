"""An artifact is whole, consistent and right, or not: damage anywhere is found, and wrong logits are told from it."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from thinkport.deploy.verification import verify
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, FileRecord, hash_file, read_manifest
from thinkport.runtime.artifact.manifest_seal import OPEN, check_seal, sealed
from thinkport.runtime.cli.main import build_app
from thinkport.runtime.errors import InputError
from thinkport.runtime.model import Model

EVERY = 997  # bytes between two that are flipped


@pytest.fixture
def artifact(nano_artifact: Path, tmp_path: Path) -> Path:
    """A copy of its own, to be damaged."""
    return shutil.copytree(nano_artifact, tmp_path / "artifact")


def rewritten(folder: Path, name: str) -> None:
    """Make the manifest say what a changed file is now, as whoever forges one would."""
    manifest = read_manifest(folder)
    path = folder / name
    record = FileRecord(bytes=path.stat().st_size, sha256=hash_file(path))
    changed = manifest.model_copy(update={"files": {**manifest.files, name: record}, "manifest_sha256": OPEN})
    (folder / MANIFEST_NAME).write_bytes(sealed(json.dumps(changed.model_dump(mode="json"), indent=2).encode()))


@pytest.mark.parametrize("full", [False, True])
def test_a_fresh_artifact_is_right(nano_artifact: Path, full: bool) -> None:
    found = verify(nano_artifact, full=full)
    assert found.exit_code == 0, [check for check in found.checks if not check.passed]
    ran = [check for check in found.checks if check.figures]
    assert ran or "own logits of cpu-native.onnx" in {check.name for check in found.checks}
    assert all(check.figures and check.figures["correlation"] > 0.9 for check in ran)


def test_a_byte_flipped_anywhere_is_found(artifact: Path) -> None:
    missed = []
    for path in sorted(artifact.iterdir()):
        whole = path.read_bytes()
        for at in flips(path.name, len(whole)):
            damaged = bytearray(whole)
            damaged[at] ^= np.random.default_rng().integers(1, 256)
            path.write_bytes(damaged)
            if verify(artifact, full=True).exit_code != 3:
                missed.append((path.name, at))
        path.write_bytes(whole)
    assert not missed
    assert verify(artifact).passed


def flips(name: str, size: int) -> list[int]:
    """Every 997th byte, and every 17th of the manifest; without THINKPORT_EVERY_BYTE about 30 of them, and 300 of the
    manifest, since all files are hashed each time.
    """
    every, most = list(range(0, size, EVERY)), 30
    if name == MANIFEST_NAME:
        every, most = list(range(0, size, 17)), 300
    return every if os.environ.get("THINKPORT_EVERY_BYTE") else every[:: max(1, len(every) // most)]


def test_an_artifact_of_before_with_a_graph_for_long_prompts_is_whole_and_runs(artifact: Path) -> None:
    (artifact / "cpu-prefill.onnx").write_bytes(b"a graph that nothing opens")
    rewritten(artifact, "cpu-prefill.onnx")
    raw = json.loads((artifact / MANIFEST_NAME).read_bytes()) | {"manifest_sha256": OPEN}
    raw["graphs"][0]["prefill"] = {"graph": {"file": "cpu-prefill.onnx"}, "from_tokens": 384}
    (artifact / MANIFEST_NAME).write_bytes(sealed(json.dumps(raw, indent=2).encode()))
    found = verify(artifact)
    assert found.passed, [check for check in found.checks if not check.passed]
    assert not any("cpu-prefill" in check.name for check in found.checks)
    with Model.load(artifact) as model:
        assert model.generate("What is 3 plus 4?", thinking=False, max_tokens=4).answer
    (artifact / "cpu-prefill.onnx").write_bytes(b"a graph that was damaged...")
    assert verify(artifact).exit_code == 3


def test_a_missing_file_is_damage(artifact: Path) -> None:
    (artifact / "weights.bin").unlink()
    assert verify(artifact).exit_code == 3


def test_weights_that_the_manifest_vouches_for_and_are_wrong_are_told_by_the_goldens(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "thinkport_kernels", None)  # a native graph has no golden of the checkpoint
    path = artifact / "weights.bin"
    weights = np.fromfile(path, np.uint8)
    half = len(weights) // 2
    weights[half:] = np.roll(weights[half:], 4096)
    weights.tofile(path)
    rewritten(artifact, "weights.bin")
    found = verify(artifact)
    assert found.exit_code == 1
    assert [check.name for check in found.checks if not check.passed] == [
        "goldens on cpu.onnx",
        "own logits of cpu.onnx",
    ]


def test_a_graph_of_another_artifact_does_not_fit_the_manifest(artifact: Path) -> None:
    shutil.copy(artifact / "dml-plain.onnx", artifact / "cpu.onnx")
    rewritten(artifact, "cpu.onnx")
    assert "structure of cpu.onnx" in [check.name for check in verify(artifact).checks if not check.passed]


def test_a_manifest_edited_by_hand_is_not_what_was_written(artifact: Path) -> None:
    path = artifact / MANIFEST_NAME
    path.write_bytes(path.read_bytes().replace(b'"kl_mean": 0', b'"kl_mean": 1', 1))
    found = verify(artifact)
    assert found.exit_code == 3
    assert "changed or damaged" in found.checks[0].detail


@pytest.mark.parametrize("space", [b"\t", b"\n", b"\r"])
def test_a_seal_that_is_only_spelled_otherwise_is_damage(artifact: Path, space: bytes) -> None:
    path = artifact / MANIFEST_NAME
    key = b'"manifest_sha256":'
    path.write_bytes(path.read_bytes().replace(key + b" ", key + space, 1))
    assert read_manifest(artifact).manifest_sha256 is not None
    assert verify(artifact).exit_code == 3


def test_a_manifest_without_a_seal_is_read_and_says_so(artifact: Path) -> None:
    path = artifact / MANIFEST_NAME
    raw = json.loads(path.read_bytes()) | {"manifest_sha256": None}
    path.write_text(json.dumps(raw))
    assert not check_seal(artifact)
    assert "without a seal" in verify(artifact).checks[0].detail


def test_what_cannot_run_here_is_skipped(nano_artifact: Path) -> None:
    found = verify(nano_artifact, full=True)
    anywhere = {"goldens on webgpu.onnx", "goldens on webgpu-float32.onnx"}  # run where there is a device
    skipped = {check.name for check in found.checks if check.skipped} - anywhere
    assert skipped == {"goldens on dml.onnx", "goldens on dml-plain.onnx", "goldens on cuda.onnx"}


def test_json_has_an_exit_code_for_all_and_for_each(artifact: Path) -> None:
    (artifact / "cpu.onnx").unlink()
    found = verify(artifact).as_json()
    assert (found["passed"], found["exit_code"]) == (False, 3)
    assert [check["exit_code"] for check in found["checks"]] == [0, 3]


def test_a_checkpoint_of_another_size_is_a_wrong_request(nano_artifact: Path, made_up: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"not the checkpoint that this artifact was made of: it has layers 2"):
        verify(nano_artifact, checkpoint=str(made_up("0.6B", "--layers", "2")))


def test_another_checkpoint_is_wrong_even_without_figures_to_compare(
    nano_checkpoint: Path, exported: Callable[..., Path], tmp_path: Path
) -> None:
    artifact = exported(nano_checkpoint, targets=("cpu",), certificate=False)
    other = shutil.copytree(nano_checkpoint, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    save_file({name: np.ascontiguousarray(t[::-1]) for name, t in tensors.items()}, other / "model.safetensors")
    found = verify(artifact, checkpoint=str(other))
    assert found.exit_code == 1
    assert "expected at least 0.5 without figures from the export" in found.checks[-1].detail
    assert verify(artifact, checkpoint=str(nano_checkpoint)).passed


def test_a_provider_that_is_not_here_is_a_wrong_request(nano_artifact: Path) -> None:
    with pytest.raises(InputError, match="tpu"):
        verify(nano_artifact, provider="tpu")


def test_the_command_prints_a_line_a_check_and_ends_with_the_code(artifact: Path) -> None:
    result = CliRunner().invoke(build_app(), ["verify", str(artifact)])
    assert result.exit_code == 0
    assert "goldens on cpu.onnx" in result.output
    (artifact / "config.json").unlink()
    result = CliRunner().invoke(build_app(), ["verify", str(artifact), "--json"])
    assert result.exit_code == 3
    assert json.loads(result.output)["passed"] is False


def test_the_certificate_is_measured_again_from_the_checkpoint(nano_artifact: Path, nano_checkpoint: Path) -> None:
    found = verify(nano_artifact, checkpoint=str(nano_checkpoint))
    assert found.passed
    assert [check.name for check in found.checks][-1].endswith("against the checkpoint")

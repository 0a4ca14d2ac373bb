"""What a certificate says of a native graph where the kernels are installed at export, and what `verify` does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.export.trace.checkpoints import narrow_checkpoint
from tests.kernels.test_native_graph import kernels as kernels
from tests.plain_recipes import PLAIN

from thinkport.deploy.verification import verify
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.runtime.artifact.manifest import read_manifest

PARENT, NATIVE = "cpu.onnx", "cpu-native.onnx"


def test_a_native_graph_has_figures_of_its_own(kernels: None, tmp_path: Path) -> None:
    checkpoint, artifact = narrow_checkpoint(tmp_path / "checkpoint"), tmp_path / "artifact"
    export(ExportSettings(checkpoint=str(checkpoint), output=artifact, recipe=PLAIN[32], targets=("cpu",)))

    certificate = read_manifest(artifact).certificate

    assert certificate is not None
    files = [figure.graph for figure in certificate.figures]
    assert (files[0], files[-1]) == (PARENT, NATIVE)
    own, parent = certificate.by_graph[NATIVE], certificate.by_graph[PARENT]
    assert own.prompts  # fewer than the first graph's, since it shares its weights
    assert own.score.kl <= 1.5 * parent.score.kl + 0.01
    assert own.score.correlation >= parent.score.correlation - 0.01
    found = {check.name: check for check in verify(artifact).checks}
    assert all(check.passed for check in found.values())
    assert "at export" in found[f"goldens on {NATIVE}"].detail
    off = {check.name for check in verify(artifact, kernels="off").checks}
    assert f"goldens on {PARENT}" in off
    assert f"goldens on {NATIVE}" not in off


def test_a_native_graph_without_figures_is_held_against_its_parents(
    kernels: None, nano_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(nano_artifact)
    assert manifest.certificate is not None
    assert NATIVE not in manifest.certificate.by_graph  # no kernels were there

    found = {check.name: check for check in verify(nano_artifact).checks}

    parent = manifest.certificate.by_graph[PARENT].quick_score.correlation
    assert f"({parent:.3f} at export)" in found[f"goldens on {NATIVE}"].detail

"""The verbs about artifacts, on one that embeds: shown, examined, bundled, and refused where replies are measured."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thinkport.deploy.bundle.entries import slim_manifest
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.cli.main import main


@pytest.fixture(scope="module")
def artifact(nano_embedding: Path, exported: Callable[..., Path]) -> Path:
    return exported(nano_embedding, recipe="accurate", certificate=True)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["thinkport", *map(str, arguments)])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_inspect_shows_the_task_and_cosines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], artifact: Path
) -> None:
    for more, said in (
        ((), "verdict mean cosine similarity 0.99"),
        (("--all",), "cpu.onnx: mean cosine similarity 0.99"),
    ):
        assert run(monkeypatch, "inspect", artifact, *more) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "task embedding" in text
        assert said in text
    assert run(monkeypatch, "inspect", artifact, "--json") == 0
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert verdict["damaged"] is False
    assert verdict["graphs"]["cpu.onnx"].startswith("mean cosine similarity")


def test_doctor_checks_its_graphs_against_its_goldens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], artifact: Path
) -> None:
    run(monkeypatch, "doctor", artifact)
    assert "cpu.onnx checked: differs by" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("verb", ["bench", "eval"])
def test_what_measures_replies_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], artifact: Path, verb: str
) -> None:
    assert run(monkeypatch, verb, artifact) == 2
    assert "embeds texts (`thinkport embed`" in capsys.readouterr().err


def test_a_bundle_keeps_the_cosines_of_its_graphs(artifact: Path) -> None:
    slim = slim_manifest(read_manifest(artifact), ["dml"])
    assert slim.certificate is not None
    assert {figure.graph for figure in slim.certificate.vectors or ()} == {"dml.onnx", "dml-plain.onnx"}

"""`thinkport eval --perplexity` as a person and a program see it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from thinkport.deploy.evaluation.cli_eval import WINDOW
from thinkport.runtime import Model
from thinkport.runtime.cli.main import main

TEXT = "What is 86*57? 86 * 57 = 4902. What is 12/4? 12 / 4 = 3.\n" * 4


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["thinkport", "eval", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_file_is_scored_as_the_model_scores_its_text(
    nano_artifact: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "score.json"
    options = ("--perplexity", file, "--window", 64, "--stride", 32, "--json", "--out", out)
    assert run(monkeypatch, nano_artifact, *options) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found == json.loads(out.read_text(encoding="utf-8"))
    with Model.load(nano_artifact) as model:
        expected, chosen = model.score(TEXT, window=64, stride=32), model.provider_report.chosen
    assert found["perplexity"] == pytest.approx(expected.perplexity)
    assert found["bits_per_byte"] == pytest.approx(expected.bits_per_byte)
    assert (found["positions"], found["windows"]) == (expected.positions, expected.windows)
    assert chosen is not None
    assert (found["window"], found["stride"], found["graph"]) == (64, 32, chosen.graph)


def test_any_graph_is_measured_and_the_window_is_said(
    nano_artifact: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, nano_artifact, "--perplexity", file, "--provider", "cpu-float32-kv") == 0
    printed = capsys.readouterr().out
    assert "cpu-float32-kv.onnx" in printed
    assert f"1 of at most {WINDOW} tokens, a stride of {WINDOW}" in printed
    assert "bits a byte" in printed


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (None, (), "can't be read"),
        (b"\xff\xfe\x00", (), "is not UTF-8 (byte 0)"),
        (b" \n", (), "holds no text"),
        (b"text", ("--budgets", "16"), "--budgets with --perplexity"),
        (b"text", ("--temperature", "0.5", "--n", "3"), "--n, --temperature with --perplexity"),
        (b"text", ("--window", "0"), "a window of 0 tokens"),
        (b"text", ("--stride", "9", "--window", "8"), "a stride of 9 tokens"),
    ],
)
def test_what_cannot_be_scored_ends_in_one_sentence(
    nano_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    options: tuple[str, ...],
    said: str,
) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    assert run(monkeypatch, nano_artifact, "--perplexity", path, *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_window_without_a_text_is_refused(
    nano_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, nano_artifact, "--window", 64) == 2
    assert "give --perplexity FILE too" in capsys.readouterr().err

"""`thinkport inspect --target` as a person and a program see it."""

import json
import sys
from pathlib import Path

import pytest
from onnx import helper
from tests.deploy.kernels.graphs import FLOAT, INT64, MICROSOFT, UINT8, attention, graph

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, Manifest
from thinkport.runtime.cli.main import main


@pytest.fixture
def mixed(artifact: Path, manifest: Manifest) -> Path:
    """An artifact whose cpu.onnx and dml.onnx are real, small graphs."""
    lookup = helper.make_node(
        "GatherBlockQuantized", ["table", "ids", "scales"], ["y"], "embed", domain=MICROSOFT, bits=4, block_size=32
    )
    lookups = graph(lookup, table=UINT8, ids=INT64, scales=FLOAT)
    files = {"cpu.onnx": attention(dtype=FLOAT, do_rotary=1), "dml.onnx": lookups}
    (cpu,) = [entry for entry in manifest.graphs if entry.file == "cpu.onnx"]
    dml = cpu.model_copy(update={"file": "dml.onnx", "target": "dml", "onnxruntime_floor": "1.24.4"})
    records = dict(manifest.files)
    for name, raw in files.items():
        (artifact / name).write_bytes(raw)
        records[name] = records["cpu.onnx"].model_copy(update={"bytes": len(raw)})
    changed = manifest.model_copy(update={"graphs": [cpu, dml], "files": records})
    (artifact / MANIFEST_NAME).write_text(changed.model_dump_json())
    return artifact


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["thinkport", "inspect", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_targets_own_graph_is_held_against_it(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(mixed), "--target", "dml") == 0
    said = capsys.readouterr().out
    assert "dml.onnx on onnxruntime-directml 1.24.4, DmlExecutionProvider" in said
    assert "CPU, planned" in said
    assert "all 1 nodes run where they should, 1 of them beside it on the CPU" in said
    assert said.isascii()
    assert max(map(len, said.splitlines())) <= 80


def test_a_graph_whose_nodes_would_leave_ends_in_1_and_says_why(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(mixed), "--target", "dml", "--graph", "cpu.onnx") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "do_rotary is 1; DirectML computes as if it were 0: rotate Q and K with RotaryEmbedding nodes" in said
    assert "1 of 1 nodes would not run on DmlExecutionProvider" in said


def test_the_report_is_one_json_object_by_graph(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(mixed), "--target", "dml", "--json") == 0
    report = json.loads(capsys.readouterr().out)["dml.onnx"]
    assert report["version"] == "1.24.4"
    assert [(row["op"], row["place"], row["count"]) for row in report["rows"]] == [
        ("GatherBlockQuantized", "allowed", 1)
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--target", "npu"), "no kernel list for target 'npu'"),
        (("--graph", "cpu.onnx"), "give --target too"),
        (("--target", "cpu", "--graph", "gone.onnx"), "the artifact lists no graph 'gone.onnx'"),
        (("--target", "cuda"), "the artifact has no graph for cuda, only"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_sentence(
    mixed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    says: str,
) -> None:
    assert run(monkeypatch, str(mixed), *options) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1

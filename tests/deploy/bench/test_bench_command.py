"""`thinkport bench` as a person and a program see it."""

import json
import re
import sys
from pathlib import Path

import pytest

from thinkport.deploy.bench.plot import front
from thinkport.runtime.cli.main import main

SHORT = ("--context", "8,16", "--prefill", "8", "--rounds", "1", "--steps", "2", "--threads", "1")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["thinkport", "bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_an_artifact_beside_itself_as_plain_onnx_gives_json_with_every_sample(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    against = ("--against", nano_artifact / "cpu.onnx", "--kernels", "off")

    assert run(monkeypatch, nano_artifact, *SHORT, *against, "--json") == 0

    found = json.loads(capsys.readouterr().out)
    own, other = found["rows"]
    assert found.keys() == {"thinkport", "machine", "read_bandwidth", "plan", "rows"}
    assert own["samples"][0]["decode"].keys() == other["samples"][0]["decode"].keys() == {"8", "16"}
    assert own["divergence"]["tokens"] > 0
    assert own["samples"][0]["engine_share"] > 0
    assert len(own["sha256"]) == 64


def test_the_tables_name_the_machine_the_limit_and_the_ratios(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    against = ("--against", nano_artifact / "cpu.onnx", "--no-overhead")

    assert run(monkeypatch, nano_artifact, *SHORT, *against) == 0

    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"1 threads read [\d.]+ GB/s of [\d,]+ MiB of memory, by ", lines[1])
    assert any(line.startswith("artifact: onnxruntime 1.") for line in lines)
    assert any(line.startswith("  share of the limit") for line in lines)
    assert any(line.startswith("artifact over") for line in lines)
    assert any(re.match(r"to a first token, s +imports +loading +of it files +prompt", line) for line in lines)
    assert any(re.match(r"artifact +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", line) for line in lines)


def test_the_artifact_takes_turns_with_itself_without_kernels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    rounds = ("--rounds", "2", "--no-overhead")

    assert run(monkeypatch, nano_artifact, *SHORT, "--against", "kernels-off", *rounds, "--json") == 0

    own, off = json.loads(capsys.readouterr().out)["rows"]
    assert (own["name"], off["name"]) == ("artifact", "artifact kernels-off")
    assert {sample["graph"] for sample in off["samples"]} == {"cpu.onnx"}
    assert len(own["samples"]) == len(off["samples"]) == 2


def test_the_tables_have_who_ran_and_say_who_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    against = ("--against", tmp_path / "broken.onnx", "--no-overhead", "--conversation", "8,2,2,2")

    assert run(monkeypatch, nano_artifact, *SHORT, *against) == 0

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("broken.onnx failed after 0 rounds: ") for line in lines)
    assert any(re.match(r"artifact +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", line) for line in lines)
    assert not any(re.match(r"broken.onnx +[\d.-]+ ", line) for line in lines)


def test_recipes_are_drawn_as_a_front(monkeypatch: pytest.MonkeyPatch, nano_artifact: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "front.png"
    options = ("--recipes", nano_artifact.parent, "--plot", picture, "--no-overhead")

    assert run(monkeypatch, nano_artifact, *SHORT, *options) == 0

    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_front_holds_what_nothing_beats_in_both() -> None:
    assert front([(0.3, 9.0), (0.1, 5.0), (0.2, 4.0), (0.1, 6.0)]) == [(0.1, 6.0), (0.3, 9.0)]


def test_a_profile_is_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    assert (
        run(monkeypatch, nano_artifact, "--profile", "--context", "16", "--steps", "2", "--kernels", "off", "--json")
        == 0
    )

    (found,) = json.loads(capsys.readouterr().out)["profiles"]
    assert found["context"] == 16
    assert found["by_op"]["MatMulNBits"]["nodes"] > 0


def test_a_named_graph_is_measured_with_its_own_cache(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    named = ("--provider", "cpu-float32-kv")

    assert run(monkeypatch, nano_artifact, *SHORT, *named, "--no-overhead", "--json") == 0

    found = json.loads(capsys.readouterr().out)
    assert found["plan"]["provider"] == "cpu-float32-kv"
    assert found["rows"][0]["samples"][0]["graph"] == "cpu-float32-kv.onnx"
    assert found["rows"][0]["divergence"]["graph"] == "cpu-float32-kv.onnx"
    assert run(monkeypatch, nano_artifact, "--profile", "--context", "8", "--steps", "2", *named, "--json") == 0
    (profile,) = json.loads(capsys.readouterr().out)["profiles"]
    assert profile["by_op"]["GroupQueryAttention"]["nodes"] > 0


@pytest.mark.parametrize(
    "wrong",
    [
        ("--context", "a"),
        ("--recipes", "nowhere"),
        ("--plot", "a.jpg"),
        ("--provider", "dml"),
        ("--provider", "cpu:1"),
        ("--provider", "nothing"),
        ("--against", "kernels-none"),
        ("--profile", "--conversation", "8,2,2,2"),
        ("--drafts", "--conversation", "8,2,2,2"),
        ("--drafts", "--against", "kernels-off"),
        ("--profile", "--plot", "a.png"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], artifact: Path, wrong: tuple[str, ...]
) -> None:
    assert run(monkeypatch, artifact, *wrong) != 0
    assert "thinkport: " in capsys.readouterr().err

"""`thinkport eval` as a person and a program see it."""

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from thinkport.deploy.evaluation.cli_eval import measure_and_write
from thinkport.deploy.evaluation.evaluator import Evaluation
from thinkport.deploy.evaluation.plan import plans
from thinkport.deploy.evaluation.suites import Suite
from thinkport.deploy.outputs import Outputs
from thinkport.runtime.cli.main import main
from thinkport.runtime.events import End
from thinkport.runtime.extras import install_line

ROW = {
    "thinking",
    "budget",
    "soft_from",
    "soft_lift",
    "width",
    "choose",
    "n",
    "correct",
    "accuracy",
    "interval_95",
    "thought_tokens",
    "answer_tokens",
    "forced_tokens",
    "other_tokens",
    "seconds",
    "closed_naturally",
    "closed_by_model",
    "thinking_ends",
    "answer_ends",
    "by_seed",
    "by_task",
}
TOP = {
    "artifact",
    "model",
    "provider",
    "threads",
    "suite",
    "problems",
    "seeds",
    "max_tokens",
    "suffix",
    "sampling",
    "rows",
}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["thinkport", "eval", "--provider", "cpu", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_the_nano_artifact_gives_one_json_object_with_the_documented_keys(
    nano_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, plot = tmp_path / "new" / "result.json", tmp_path / "new" / "curve.png"
    options = ("--n", 5, "--budgets", "16,64", "--soft-from", "0.5", "--json", "--out", out)
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert run(monkeypatch, nano_artifact, *options, "--plot", plot) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    result = json.loads(printed.out)
    assert result == json.loads(out.read_text(encoding="utf-8"))
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert set(result) == TOP
    assert all(set(row) == ROW for row in result["rows"])
    rows = {(row["thinking"], row["budget"], row["soft_from"]): row for row in result["rows"]}
    assert set(rows) == {("off", None, None), ("on", None, None)} | {
        ("on", budget, soft) for budget in (16, 64) for soft in (None, 0.5)
    }
    assert all(row["n"] == 5 and row["accuracy"] == row["correct"] / 5 for row in rows.values())
    assert rows["on", None, None]["correct"] == 5
    assert rows["on", None, None]["thinking_ends"] == {"natural": 5}
    assert rows["off", None, None]["thought_tokens"] == 0
    assert 0 < rows["on", 16, None]["thought_tokens"] <= 16
    assert rows["on", 16, None]["forced_tokens"] > 0


def test_the_same_command_twice_prints_the_same_table_but_for_seconds(
    nano_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = []
    for _ in range(2):
        assert run(monkeypatch, nano_artifact, "--n", 10, "--seeds", "0,1", "--budgets", "24") == 0
        lines = capsys.readouterr().out.splitlines()
        tables.append([line.rsplit(maxsplit=1)[0] for line in lines if line.startswith(("off", "on"))])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 6


def test_a_file_of_ones_own_is_asked(
    nano_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write(tmp_path / "own.jsonl", {"q": "What is 86*57?", "a": "4,902 apples"})
    options = ("--suite", path, "--question-field", "q", "--answer-field", "a", "--compare", "number")
    assert run(monkeypatch, nano_artifact, *options, "--budgets", "", "--max-tokens", 400, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["suite"], result["max_tokens"]) == ("own", 400)
    off, on = result["rows"]
    assert (off["thinking"], on["thinking"], on["correct"]) == ("off", "on", 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--budgets", "16,x"), "--budgets is '16,x', expected numbers between commas"),
        (("--budgets", "-1"), "thinking budget is -1"),
        (("--soft-from", "1.5"), "soft_from is 1.5"),
        (("--seeds", ""), "seeds are none"),
        (("--seeds", "0,0"), "seeds are 0, 0"),
        (("--n", "0"), "n is 0, expected 1 to 600"),
        (("--compare", "fuzzy"), "--compare is 'fuzzy', expected exact, number, regex, boxed"),
        (("--suite", "nowhere.jsonl"), "no suite 'nowhere.jsonl'"),
        (("--plot", "curve.bmp"), "expected a name that ends in .png"),
        (("--out", "."), "is a folder, expected a file"),
    ],
)
def test_what_can_not_be_done_is_one_sentence_before_an_artifact_is_opened(
    options: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "no-such-artifact", *options) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("missing", "option"), [("math_verify", "--suite"), ("matplotlib", "--plot")])
def test_a_missing_package_is_told_with_the_install_line_before_an_artifact_is_opened(
    missing: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path / "math.jsonl", {"problem": "1+1", "answer": "2"})
    value = {"--suite": tmp_path / "math.jsonl", "--plot": tmp_path / "curve.png"}[option]
    monkeypatch.setitem(sys.modules, missing, None)  # as Python marks what can't be imported
    assert run(monkeypatch, "no-such-artifact", option, value) == 4
    assert f"{missing} not installed: run {install_line('eval')}" in capsys.readouterr().err


def test_a_model_without_thinking_has_one_row_and_no_budgets(
    nano_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "artifact"
    shutil.copytree(nano_artifact, folder)
    manifest = json.loads((folder / "thinkport.json").read_bytes())
    (folder / "thinkport.json").write_text(
        json.dumps({**manifest, "thinking": None, "manifest_sha256": None}), encoding="utf-8"
    )
    assert run(monkeypatch, folder, "--n", 2, "--json") == 0
    assert [row["thinking"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["off"]
    assert run(monkeypatch, folder, "--n", 2, "--budgets", "16") == 2
    assert "no thinking markers, so no budgets" in capsys.readouterr().err


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handler: a shell that starts this in the background has it ignore interruptions."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("asked", "rows"), [(45, 2), (5, 0)])
def test_an_interruption_keeps_the_rows_that_were_done(
    suite: Suite,
    fake: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    asked: int,
    rows: int,
) -> None:
    class Interrupted:
        def generate(self, prompt: str, /, **options: Any) -> End:
            if len(fake.calls) == asked:
                signal.raise_signal(signal.SIGINT)
            return fake.generate(prompt, **options)

    out = tmp_path / "result.json"
    outputs = Outputs(as_json=False, out=out, plot=None)
    evaluation = Evaluation(suite=suite, seeds=(0,), sampling={})
    with pytest.raises(typer.Exit) as ended:
        measure_and_write(Interrupted(), evaluation, plans((16, 32)), outputs, {"model": "fake"})
    assert ended.value.exit_code == 130
    printed = capsys.readouterr()
    assert printed.err == f"thinkport: interrupted after {rows} of 4 rows\n"
    assert ("accuracy %" in printed.out) is (rows > 0)
    written = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.exists() else []
    assert len(written) == rows


def test_as_many_thoughts_share_a_step_as_are_asked_for(
    nano_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [nano_artifact, "--n", 1, "--budgets", 4, "--widths", "9", "--kernels", "off", "--json"]
    assert run(monkeypatch, *asked) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["width"] for row in rows] == [1, 1, 1, 9, 9]

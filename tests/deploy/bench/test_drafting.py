"""What drafts gain is measured over replies that are given: right guesses follow from the texts, not from a model."""

import json
import sys
from pathlib import Path

import pytest

from thinkport.deploy.bench.contender import BenchPlan
from thinkport.deploy.bench.draft_texts import TEXTS, DraftText
from thinkport.deploy.bench.drafting import DraftGain, measure_drafts
from thinkport.runtime import Model
from thinkport.runtime.cli.main import main


@pytest.fixture(scope="module")
def gains(nano_artifact: Path) -> list[DraftGain]:
    return measure_drafts(nano_artifact, BenchPlan(threads=1, rounds=1, provider="cpu"))


def test_a_copy_is_guessed_right_and_free_text_is_hardly_guessed(gains: list[DraftGain]) -> None:
    copied, edited, free = gains
    assert [gain.name for gain in gains] == [text.name for text in TEXTS]
    # How often it guesses follows from the steps' times, which other programs of the machine change.
    assert copied.accepted > 0.9 * copied.drafted > 0
    assert edited.accepted >= 0.5 * edited.drafted
    assert free.drafted < 0.1 * free.tokens
    for gain in gains:
        assert 0 <= gain.accepted <= gain.drafted
        assert min(gain.plain, gain.with_drafts, gain.gain) > 0


def test_a_reply_has_as_many_tokens_as_its_text(gains: list[DraftGain], nano_artifact: Path) -> None:
    with Model.load(nano_artifact, threads=1, provider="cpu") as model:
        lengths = [len(model.tokenizer.encode(text.reply)) for text in TEXTS]

    assert [gain.tokens for gain in gains] == lengths


def test_the_verb_prints_a_table_or_json(
    nano_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = (DraftText(name="short", prompt="1+1", reply="1+1=2"), DraftText(name="again", prompt="2+2", reply="2+2=4"))
    monkeypatch.setattr("thinkport.deploy.bench.drafting.TEXTS", short)

    def run(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(
            sys, "argv", ["thinkport", "bench", str(nano_artifact), "--drafts", "--provider", "cpu", *options]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    code, shown, _ = run("--rounds", "1", "--threads", "1")
    assert code == 0
    assert [line.split("  ")[0] for line in shown.splitlines()[-2:]] == ["short", "again"]
    code, shown, _ = run("--rounds", "1", "--threads", "1", "--json")
    assert [entry["name"] for entry in json.loads(shown)["drafts"]] == ["short", "again"]
    code, _, told = run("--profile")
    assert code == 2
    assert "ask for one of them" in told

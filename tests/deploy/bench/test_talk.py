"""A conversation of two questions: what is asked of each engine, and what is told of it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from tests.deploy.bench.test_bench_command import SHORT, run

from thinkport.deploy.bench.benchmark import BenchRow
from thinkport.deploy.bench.contender import BenchPlan, Contender, Kind, Sample
from thinkport.deploy.bench.talk import TalkPlan, TalkSeconds
from thinkport.runtime.errors import InputError

LLAMA_BENCH = """#!{python}
import json, pathlib, sys
asked = dict(zip(sys.argv[1::2], sys.argv[2::2]))
with pathlib.Path({log!r}).open("a") as log:
    print(asked.get("-p"), asked.get("-n"), asked.get("-d"), file=log)
tokens = int(asked["-p"]) + int(asked["-n"])
print(json.dumps([{{"n_prompt": int(asked["-p"]), "n_gen": int(asked["-n"]), "n_depth": int(asked.get("-d", 0)),
    "avg_ts": 10.0, "avg_ns": tokens * 1e8, "build_commit": "abc"}}]))
"""


def test_an_artifact_and_its_plain_graph_hold_a_conversation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    against = ("--against", nano_artifact / "cpu.onnx", "--no-overhead")

    assert run(monkeypatch, nano_artifact, *SHORT, *against, "--conversation", "30,6,4,3", "--json") == 0

    found = json.loads(capsys.readouterr().out)
    assert found["plan"]["talk"] == {"prompt": 30, "thought": 6, "answer": 4, "question": 3}
    for row in found["rows"]:
        (sample,) = row["samples"]
        assert sample["talk"].keys() == {"prompt", "reply", "second"}
        assert min(sample["talk"].values()) > 0


def test_the_table_has_the_parts_and_how_many_times_as_long_others_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    seconds = iter((1.0, 2.0, 3.0))

    def measured(self: Contender, plan: BenchPlan) -> Sample:
        assert plan.talk == TalkPlan(prompt=20, thought=5, answer=2, question=1)
        talk = TalkSeconds(prompt=next(seconds), reply=4.0, second=0.5)
        return Sample(engine="x", prefill={8: 1.0}, decode={8: 1.0, 16: 1.0}, graph="cpu.onnx", talk=talk)

    monkeypatch.setattr(Contender, "measure", measured)

    assert run(monkeypatch, nano_artifact, *SHORT, "--conversation", "20,5,2,1") == 0

    out = capsys.readouterr().out
    told = "a prompt of 20 tokens, a thought of 5, an answer of 2 and a second question of 1"
    assert told in " ".join(out.split())
    (line,) = re.findall(r"^artifact +2\.00 +4\.00 +0\.50 +6\.50 +6\.50 +1\.00$", out, re.MULTILINE)
    assert line


def test_a_row_has_its_fastest_conversation_first() -> None:
    slow, fast = (TalkSeconds(prompt=1.0, reply=reply, second=0.5) for reply in (9.0, 2.0))
    samples = tuple(Sample(engine="", prefill={}, decode={}, talk=talk) for talk in (slow, None, fast))

    assert BenchRow(name="a", kind=Kind.ONNX, samples=samples).talks == [fast, slow]


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a script")
def test_llama_bench_is_asked_for_each_part_behind_the_prompt(tmp_path: Path) -> None:
    """Its API rewinds at no cost: the answer and the question run behind the prompt alone."""
    model, program, log = tmp_path / "a.gguf", tmp_path / "llama-bench", tmp_path / "log"
    model.touch()
    program.write_text(LLAMA_BENCH.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    plan = BenchPlan(contexts=(), prefills=(), rounds=1, talk=TalkPlan(prompt=20, thought=5, answer=4, question=2))

    sample = Contender.parse(f"{model}={program}").measure(plan)

    assert log.read_text().splitlines() == ["20 0 None", "0 8 20", "6 0 20"]
    assert sample.talk == TalkSeconds(prompt=2.0, reply=0.8, second=0.6)


@pytest.mark.parametrize("counts", [(1, 2, 3), (1, 2, 3, 0), (1, 2, 3, 4, 5)])
def test_a_conversation_has_four_parts(counts: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected four numbers, each 1 or more"):
        TalkPlan.of(counts)


def test_a_plan_holds_its_conversation() -> None:
    talk = TalkPlan.of((100, 50, 10, 20))
    assert talk is not None
    assert BenchPlan(contexts=(1,), prefills=(), talk=talk).longest == talk.longest == 160
    assert TalkPlan.of(()) is None

"""A benchmark: who runs when, what is kept, and what is refused before anything is measured."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from thinkport.deploy.bench.benchmark import BenchRow, Cost, measure
from thinkport.deploy.bench.contender import BenchPlan, Contender, DeviceBytes, Kind, Sample
from thinkport.deploy.bench.contender import Contender as Parsed
from thinkport.deploy.bench.machine import this_machine
from thinkport.deploy.bench.workers.openvino_worker import cache_gigabytes, decoded
from thinkport.runtime.artifact.manifest import Manifest, read_manifest
from thinkport.runtime.errors import InputError

PLAN = BenchPlan(contexts=(8, 16), prefills=(), threads=1, steps=2, rounds=2)
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="the fake programs are shell scripts")


@on_posix
def test_contenders_take_turns_and_the_order_turns_too(fake: Callable[[str, float], Contender], calls: Path) -> None:
    measure([fake("one", 10), fake("two", 20)], PLAN)

    assert calls.read_text().split() == ["one", "two", "two", "one", "one", "two"]  # the first round warms up


@on_posix
def test_the_best_round_counts_and_all_are_kept(fake: Callable[[str, float], Contender]) -> None:
    (row,) = measure([fake("one", 10)], PLAN)

    best = row.decode(16)
    assert best
    assert (best.best, best.median) == (12.0, 11.5)
    assert best.spread == pytest.approx(1 / 12)
    assert [sample["decode"][8] for sample in row.as_json()["samples"]] == [11, 12]
    assert row.prefill(8) is None


@on_posix
def test_a_contender_that_fails_leaves_the_others_and_is_asked_no_more(
    fake: Callable[[str, float], Contender], calls: Path, tmp_path: Path
) -> None:
    (tmp_path / "openvino_model.xml").touch()
    broken = Parsed.parse(f"{tmp_path}={sys.executable}")
    one, failed, two = measure([fake("one", 10), broken, fake("two", 20)], PLAN)

    assert (len(one.samples), len(failed.samples), len(two.samples)) == (2, 0, 2)
    assert "No module named 'openvino_genai'" in (failed.failed or "")
    assert failed.as_json()["failed"] == failed.failed
    assert calls.read_text().split() == ["one", "two", "two", "one", "one", "two"]


def test_openvinos_speed_is_that_of_the_median_step() -> None:
    times = [1.7e12 + at for at in (0, 10, 20, 30, 90)]  # milliseconds since 1970; the last step waited
    metrics = SimpleNamespace(raw_metrics=SimpleNamespace(m_new_token_times=times))
    assert decoded(metrics) == pytest.approx(100)


def test_a_program_without_the_engine_is_told_with_its_own_last_words(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").touch()
    contender = Parsed.parse(f"{tmp_path}={sys.executable}")
    plan = BenchPlan(contexts=(1,), prefills=())

    with pytest.raises(InputError, match=r"(?s)No module named 'openvino_genai'.*=PROGRAM"):
        measure([contender], plan)


@pytest.mark.parametrize(
    ("file", "kind"),
    [("model.onnx", Kind.ONNX), ("openvino_model.xml", Kind.OPENVINO), ("thinkport.json", Kind.ARTIFACT)],
)
def test_what_a_folder_holds_tells_its_engine(tmp_path: Path, file: str, kind: Kind) -> None:
    (tmp_path / file).touch()

    assert Contender.parse(str(tmp_path)).kind is kind


def test_a_gguf_file_runs_in_llama_bench_unless_told_otherwise(tmp_path: Path) -> None:
    model = tmp_path / "a.gguf"
    model.touch()

    assert Contender.parse(str(model)).program == "llama-bench"
    assert Contender.parse(f"{model}=/opt/llama-bench").program == "/opt/llama-bench"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model that can be measured"):
        Contender.parse(str(tmp_path))


def test_more_tokens_than_the_context_are_refused_before_anything_runs(artifact: Path, manifest: Manifest) -> None:
    plan = BenchPlan(contexts=(manifest.model.context_length,), prefills=())

    with pytest.raises(InputError, match="give a shorter --context"):
        measure([Contender.parse(str(artifact))], plan)


@pytest.mark.parametrize("wrong", [{"contexts": (0,)}, {"prefills": (8, 8)}, {"rounds": 0}, {"threads": -1}])
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match="expected"):
        BenchPlan(**wrong)


def test_the_limit_counts_weights_and_the_cache_of_the_context(manifest: Manifest) -> None:
    cost, model = Cost.of(manifest, manifest.graphs[0]), manifest.model
    sample = Sample(engine="", prefill={}, decode={100: 50.0})
    row = BenchRow(name="a", kind=Kind.ARTIFACT, samples=(sample,), cost=cost)

    assert cost.at(100) - cost.at(0) == pytest.approx(100 * cost.kv_token)
    assert cost.kv_token % (2 * model.layers * model.kv_heads * model.head_dim) == 0
    assert row.of_limit(100, bandwidth=50 * cost.at(100)) == pytest.approx(1.0)


def test_a_native_graph_costs_what_its_own_cache_does(nano_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample(engine="", prefill={}, decode={8: 1.0}, graph="cpu-native.onnx")
    monkeypatch.setattr(Contender, "measure", lambda self, plan: sample)
    manifest = read_manifest(nano_artifact)
    native = manifest.graphs[0].native
    assert native is not None

    (row,) = measure([Contender.parse(str(nano_artifact))], PLAN)

    assert row.cost == Cost.of(manifest, native.graph) != Cost.of(manifest, manifest.graphs[0])
    assert row.figure is None  # the certificate's are of other graphs


def test_the_machine_has_a_name() -> None:
    machine = this_machine()
    assert f"{machine.hardware.cores} cores" in machine.title
    assert machine.as_json()["hardware"]["processor"] in machine.title
    assert machine.packages["thinkport"]


def test_a_sample_keeps_what_crosses_to_a_device() -> None:
    device = {"context": 8, "given": 88, "returned": 400, "cache": 10, "grown": 30}
    sample = Sample.parse(json.dumps({"engine": "x", "prefill": {}, "decode": {"8": 1.0}, "device": device}))
    assert sample.device == DeviceBytes(**device)
    row = BenchRow(name="x", kind=Kind.ARTIFACT, samples=(sample,))
    assert row.as_json()["samples"][0]["device"] == device


@pytest.mark.parametrize(("memory", "given"), [(1, 1), (4, 1), (7, 1), (8, 2), (24, 2), (512, 2)])
def test_openvinos_cache_is_a_quarter_of_the_memory_within_bounds(monkeypatch, memory, given) -> None:
    sizes = {"SC_PHYS_PAGES": memory << 18, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    assert cache_gigabytes() == given

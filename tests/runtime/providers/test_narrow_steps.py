"""A device that computes wide steps wrong runs narrow ones: found once, remembered, said, and kept by the session."""

import re
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from tests.runtime.providers.test_own_check import VOCABULARY, FakeSession, Fault, own_golden

from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.goldens import FORMAT, OwnGolden
from thinkport.runtime.artifact.manifest import Graph, Manifest, read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.providers.devices import Device
from thinkport.runtime.providers.ort import Candidate, OrtBuild, import_onnxruntime
from thinkport.runtime.providers.own_check import NARROW, shortened
from thinkport.runtime.providers.provider_choice import Machine, OpenedGraph, ProviderChoice
from thinkport.runtime.providers.provider_report import Outcome
from thinkport.runtime.providers.verdicts import Verdicts

SAMPLE = Path(__file__).resolve().parents[2] / "contract" / "manifest.json"
DEVICE, CPU = "MadeUpExecutionProvider", "CPUExecutionProvider"
WIDE = "steps of 128 tokens are wrong here"


def write(path: Path, own: OwnGolden, *, with_own: bool = True) -> None:
    """A file of goldens as the format says: one prompt, and what the graph `gpu.onnx` itself gives over it."""
    golden = own.golden
    parts: dict[str, np.ndarray] = {
        "ids": golden.ids,
        "rows": golden.rows,
        "top_ids": golden.top_ids,
        "top_logprobs": golden.top_logprobs.astype(np.float32),
        "sample_logits": golden.sample_logits,
    }
    if with_own:
        spread = np.array([own.spread, own.float_spread], np.float32)
        parts |= {"own_steps": np.array([200, 40, 32]), "own_rows": golden.rows, "own_spread:gpu": spread}
        parts |= {f"own_{name}:gpu": parts[name] for name in ("top_ids", "top_logprobs")}
        parts["own_logits:gpu"] = parts["sample_logits"]
    named = {f"{golden.name}.{name}": np.ascontiguousarray(values) for name, values in parts.items()}
    path.write_bytes(save({"sample_ids": golden.sample_ids, **named}, {"format": FORMAT}))


class Bench:
    """An artifact with one graph on a device whose steps are as wrong as `fault` says."""

    def __init__(self, folder: Path, own: OwnGolden, fault: Fault, **graph: Any):
        sample = Manifest.model_validate_json(SAMPLE.read_text(encoding="utf-8"))
        changes = {
            "file": "gpu.onnx",
            "target": "gpu",
            "providers": [DEVICE, CPU],
            "onnxruntime_floor": "1.24",
            **graph,
        }
        self.graph: Graph = sample.graphs[0].model_copy(update=changes)
        self.manifest = sample.model_copy(
            update={
                "graphs": [self.graph],
                "certificate": Certificate(goldens="goldens.safetensors", figures=[]),
                "files": {},
            }
        )
        self.folder, self.fault, self.unrounded, self.loads = folder, fault, fault, list[str]()
        write(folder / "goldens.safetensors", own)
        (folder / "thinkport.json").write_text("{}")
        build = OrtBuild(package="onnxruntime", version="1.32.0", providers=(DEVICE, CPU))
        devices, verdicts = [Device(name="Made-up GPU", driver="1.2")], Verdicts(folder / "verdicts")
        self.machine = Machine(build=build, devices=devices, cpu="avx2", verdicts=verdicts)

    def _open(self, one: Candidate) -> FakeSession:
        self.loads.append("as it is")
        return FakeSession(self.fault, chunk=one.graph.prefill_chunk)

    def _open_unrounded(self, one: Candidate) -> nullcontext[FakeSession]:
        self.loads.append("unrounded")
        return nullcontext(FakeSession(self.unrounded, chunk=one.graph.prefill_chunk))

    def chosen(self) -> OpenedGraph:
        choice = ProviderChoice(self.folder, self.manifest, self.machine, self._open, self._open_unrounded)
        return choice.choose([self.graph], "auto")


def wide_is_wrong(tokens: int, past: int) -> float:
    return 0.06 * (tokens > NARROW)


def test_narrow_steps_are_found_remembered_and_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path, own_golden(), wide_is_wrong)
    for outcome in (Outcome.CHECKED, Outcome.REMEMBERED):
        found = bench.chosen()
        assert found.session.prefill_chunk == NARROW
        assert found.report.chosen is not None
        assert found.report.chosen.outcome is outcome
        assert f"prefills in pieces of 31: {WIDE}" in found.report.reason


def test_a_device_that_is_proved_right_takes_wider_steps_than_any_device(tmp_path: Path) -> None:
    bench = Bench(tmp_path, own_golden(), lambda *_: 0.0, prefill_chunk=31, proven_chunk=128)
    for _ in "12":
        found = bench.chosen()
        assert found.session.prefill_chunk == 128
        assert "pieces" not in found.report.reason


def test_a_graph_that_rounds_to_int8_is_first_held_without_that(tmp_path: Path) -> None:
    own = own_golden(spread=0.05)
    own = OwnGolden(**{**vars(own), "float_spread": own_golden().spread})
    bench = Bench(tmp_path, own, wide_is_wrong)  # 6 % are within 4 of the 5 % that rounding costs
    found = bench.chosen()
    assert bench.loads == ["unrounded", "as it is"]
    assert found.session.prefill_chunk == NARROW
    assert WIDE in found.report.reason


def test_a_graph_that_is_wrong_without_its_rounding_is_not_used(tmp_path: Path) -> None:
    own = own_golden(spread=0.05)
    own = OwnGolden(**{**vars(own), "float_spread": own_golden().spread})
    with pytest.raises(ArtifactError, match=r"where it does not round to int8, its logits differ by 0\.\d+%"):
        Bench(tmp_path, own, lambda *_: 1e-3).chosen()


def test_an_artifact_of_before_is_held_against_the_checkpoint_and_the_report_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, own_golden(), wide_is_wrong)
    short = replace(shortened(own_golden()), prefilled=52)
    golden = replace(short.golden, ids=short.golden.ids[:60])
    kept = golden.rows < 60
    parts = {name: getattr(golden, name)[kept] for name in ("rows", "top_ids", "top_logprobs", "sample_logits")}
    write(tmp_path / "goldens.safetensors", replace(short, golden=replace(golden, **parts)), with_own=False)
    found = bench.chosen()
    assert bench.loads == ["as it is"]
    assert found.session.prefill_chunk == 128
    assert re.search(
        "agrees with the checkpoint over . positions, with room for rounding; .* older thinkport", found.report.reason
    )


def test_a_sessions_lane_cuts_wider_steps_and_gives_the_same_rows(nano_artifact: Path) -> None:
    manifest = read_manifest(nano_artifact)
    graph = next(one for one in manifest.graphs if one.file == "cpu-float32-kv.onnx")
    ids = np.random.default_rng(0).integers(0, manifest.model.vocab_size, (1, 20))
    with closing(Session(import_onnxruntime("cpu"), nano_artifact, graph, manifest.model)) as session:
        whole = session.open_lane().step(ids, keep=9).copy()
        session.prefill_chunk = 7
        lane = session.open_lane()
        np.testing.assert_allclose(lane.step(ids, keep=9), whole, atol=1e-4)
        assert lane.length == 20
        with pytest.raises(ArtifactError, match="at most 7 tokens and would need one of 20 for 2 sequences"):
            session.open_lane(2).step(np.repeat(ids, 2, 0))


def test_the_vocabulary_of_the_fakes_is_that_of_their_goldens() -> None:
    assert own_golden().golden.ids.max() < VOCABULARY

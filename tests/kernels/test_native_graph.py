"""The reference checkpoint's native graph: what it is made of, when it runs, and that it says what its parent says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from thinkport.deploy.verification import verify
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, hash_file, read_manifest
from thinkport.runtime.artifact.manifest_seal import OPEN, sealed
from thinkport.runtime.chat.chat import Chat
from thinkport.runtime.errors import InputError, ProviderWarning
from thinkport.runtime.model import Model
from thinkport.runtime.providers.auto_choice import AutoChoice
from thinkport.runtime.providers.kernels import OPERATORS
from thinkport.runtime.providers.provider_report import Attempt, Outcome

NATIVE = "cpu-native.onnx"


@pytest.fixture
def kernels(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, as if it were installed."""
    package = type(sys)("thinkport_kernels")
    package.LIBRARY, package.OPERATORS = library, OPERATORS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "thinkport_kernels", package)


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "thinkport_kernels", None)


def test_all_its_matrices_and_attentions_are_native(nano_artifact: Path) -> None:
    parent, native = (
        onnx.load(nano_artifact / file, load_external_data=False).graph.node for file in ("cpu.onnx", NATIVE)
    )
    before, after = (Counter(node.op_type for node in nodes) for nodes in (parent, native))
    assert not after.keys() & {"MatMulNBits", "GroupQueryAttention"}
    assert after["QuantizedMatMul"] == before["MatMulNBits"] > 0
    assert after["CachedAttention"] == before["GroupQueryAttention"] > 0
    assert after["SimplifiedLayerNormalization"] < before["SimplifiedLayerNormalization"]  # those of heads are inside
    record = read_manifest(nano_artifact).graphs[0].native
    assert record is not None
    assert (record.graph.file, record.operators) == (NATIVE, OPERATORS)
    assert record.graph.kv.token_scales


def test_it_runs_where_the_kernels_are(kernels: None, sets: list[str], nano_artifact: Path) -> None:
    with Model.load(nano_artifact, provider="cpu") as model:
        chosen = model.provider_report.chosen
        assert chosen is not None
        assert (chosen.graph, chosen.kernels) == (NATIVE, sets[0])
        assert f"kernels {sets[0]}" in model.provider_report.reason
        assert model.generate("What is 3 + 4?", seed=1, thinking=False, max_tokens=8)
    with Model.load(nano_artifact, provider="cpu", kernels="scalar") as model:
        assert model.provider_report.chosen is not None
        assert model.provider_report.chosen.kernels == "scalar"
    with Model.load(nano_artifact, provider="cpu", kernels="off") as model:
        assert model.provider_report.chosen is not None
        assert model.provider_report.chosen.graph == "cpu.onnx"


def test_without_the_package_the_parent_runs_and_nothing_is_said(no_kernels: None, nano_artifact: Path) -> None:
    with Model.load(nano_artifact, provider="cpu") as model:
        assert model.provider_report.chosen is not None
        assert model.provider_report.chosen.graph == "cpu.onnx"
        assert NATIVE not in {attempt.graph for attempt in model.provider_report.attempts}
    with pytest.raises(InputError, match=r"cpu-native\.onnx needs the package thinkport-kernels: pip install"):
        Model.load(nano_artifact, provider="cpu-native")


def test_kernels_that_are_installed_in_vain_are_told_of(
    kernels: None, nano_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkport_kernels.OPERATORS", OPERATORS + 1)
    with Model.load(nano_artifact, provider="cpu") as model:
        report = model.provider_report
    assert report.chosen is not None
    assert report.chosen.graph == "cpu.onnx"
    (vain,) = [attempt for attempt in report.attempts if attempt.graph == NATIVE]
    assert vain.outcome is Outcome.IMPOSSIBLE
    assert f"with operators {OPERATORS}, and {OPERATORS + 1} are installed: pip install" in vain.reason


def test_a_native_graph_that_fails_makes_room_for_its_parent(
    kernels: None, nano_artifact: Path, tmp_path: Path
) -> None:
    folder = copytree(nano_artifact, tmp_path / "artifact")
    graph, listed = folder / NATIVE, folder / MANIFEST_NAME
    graph.write_bytes(graph.read_bytes().replace(b"QuantizedMatMul", b"QuantizedMatTul"))  # of the same length
    manifest = read_manifest(folder).model_dump(mode="json") | {"manifest_sha256": OPEN}
    manifest["files"][NATIVE]["sha256"] = hash_file(graph)
    listed.write_bytes(sealed(json.dumps(manifest, indent=2).encode()))
    with pytest.warns(ProviderWarning, match=r"Passed over cpu-native\.onnx"):
        model = Model.load(folder, provider="cpu")
    with model:
        assert model.provider_report.chosen is not None
        assert model.provider_report.chosen.graph == "cpu.onnx"
        assert model.provider_report.attempts[0].outcome is Outcome.FAILED


def logits_of(folder: Path, graph: str, ids: npt.NDArray[np.int64], steps: list[int]) -> npt.NDArray[np.float32]:
    with Model.load(folder, provider=graph, threads=1) as model:
        lane, rows, at = model.session.open_lane(), [], 0
        for count in steps:
            rows.append(lane.step(ids[:, at : at + count], keep=count).copy())
            at += count
        return np.concatenate(rows, axis=1)[0]


def test_it_says_what_a_graph_with_a_float32_cache_says(kernels: None, nano_artifact: Path) -> None:
    ids, steps = np.random.default_rng().integers(0, 200, (1, 350)), [100, 40, 200, *[1] * 10]
    exact, native = (logits_of(nano_artifact, graph, ids, steps) for graph in ("cpu-float32-kv", "cpu-native"))
    logs = [rows - np.logaddexp.reduce(rows, axis=-1, keepdims=True) for rows in (exact, native)]
    kl = (np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=-1)
    assert kl.mean() < 1e-3  # both round activations to int8, each in its way, and one its cache
    assert kl.max() < 0.1


def test_verify_holds_it_against_its_own_golden(kernels: None, nano_artifact: Path) -> None:
    found = {check.name: check.passed for check in verify(nano_artifact).checks}
    assert found[f"own logits of {NATIVE}"]
    assert all(found.values())


def test_logits_are_the_same_to_the_bit_in_any_pieces(kernels: None, nano_artifact: Path) -> None:
    ids = np.random.default_rng().integers(0, 200, (1, 300))
    whole = logits_of(nano_artifact, "cpu-native", ids, [300])
    assert np.array_equal(logits_of(nano_artifact, "cpu-native", ids, [20, 4, 200, 1, 1, 1, 73]), whole)


def test_a_cache_goes_on_in_another_kernel_set(kernels: None, nano_artifact: Path) -> None:
    ids = np.random.default_rng().integers(0, 200, (1, 60))
    with Model.load(nano_artifact, provider="cpu-native") as model:
        lane = model.session.open_lane()
        lane.step(ids[:, :50])
        snapshot = lane.read(50)
        here = lane.step(ids[:, 50:], keep=10).copy()
    with Model.load(nano_artifact, provider="cpu-native", kernels="scalar") as model:
        lane = model.session.open_lane()
        lane.write(snapshot)
        assert np.array_equal(lane.step(ids[:, 50:], keep=10), here)


def test_a_conversation_goes_on_rewinds_and_is_saved(kernels: None, nano_artifact: Path, tmp_path: Path) -> None:
    greedy: dict[str, Any] = {"thinking": False, "sampling": {"temperature": 0.0}}
    saved = tmp_path / "chat.json"
    with Model.load(nano_artifact, provider="cpu") as model:
        chat = model.chat(**greedy)
        chat.send("What is 3 + 4?")
        second = chat.send("What is 5 + 6?").answer
        chat.undo()
        assert chat.send("What is 5 + 6?").answer == second
        chat.save(saved)
        history = chat.messages
    with Model.load(nano_artifact, provider="cpu") as model:
        again = Chat.restore(model, saved)
        assert again.messages == history
        assert again.send("What is 1 + 1?").cached_tokens > 0
    with Model.load(nano_artifact, provider="cpu", kernels="off") as model:  # another KV cache: it is computed anew
        other = Chat.restore(model, saved)
        assert other.messages == history
        assert other.send("What is 1 + 1?").answer


def test_what_trials_say_of_a_graph_is_said_of_its_native_form() -> None:
    choice = AutoChoice(graphs=[], said="50 tokens/s", best=("cpu.onnx", NATIVE))
    attempt = Attempt(graph=NATIVE, provider="CPUExecutionProvider", outcome=Outcome.CHECKED, reason="right")
    assert choice.of(attempt).reason == "right; 50 tokens/s"
    assert choice.of(replace(attempt, graph="webgpu.onnx")).reason == "right"

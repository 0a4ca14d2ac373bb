"""The reference checkpoint's native graph: what it is made of, when it runs, and that it says what its parent says."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import onnx
import pytest

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, hash_file, read_manifest
from thinkport.runtime.artifact.manifest_seal import OPEN, sealed
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


def test_all_its_matrices_are_native(nano_artifact: Path) -> None:
    parent, native = (
        onnx.load(nano_artifact / file, load_external_data=False).graph.node for file in ("cpu.onnx", NATIVE)
    )
    ops = [node.op_type for node in native]
    assert "MatMulNBits" not in ops
    assert ops.count("QuantizedMatMul") == sum(node.op_type == "MatMulNBits" for node in parent) > 0
    assert len(native) == len(parent)
    record = read_manifest(nano_artifact).graphs[0].native
    assert record is not None
    assert (record.graph.file, record.operators) == (NATIVE, OPERATORS)


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


def test_it_says_what_its_parent_says(kernels: None, nano_artifact: Path) -> None:
    rng = np.random.default_rng()
    ids = rng.integers(0, 200, (1, 150))
    found = {}
    for graph in ("cpu-native", "cpu"):
        with Model.load(nano_artifact, provider=graph) as model:
            lane = model.session.open_lane()
            rows = [lane.step(ids[:, :100], keep=100).copy(), lane.step(ids[:, 100:140], keep=40).copy()]
            rows += [lane.step(ids[:, at : at + 1]).copy() for at in range(140, 150)]
            found[graph] = np.concatenate(rows, axis=1)[0]
    logs = {name: rows - np.logaddexp.reduce(rows, axis=-1, keepdims=True) for name, rows in found.items()}
    kl = (np.exp(logs["cpu"]) * (logs["cpu"] - logs["cpu-native"])).sum(axis=-1)
    assert kl.mean() < 1e-3  # both round activations to int8, each in its way
    assert kl.max() < 0.05


def test_logits_of_a_token_do_not_depend_on_the_tokens_beside_it(kernels: None, nano_artifact: Path) -> None:
    ids = np.random.default_rng().integers(0, 200, (1, 24))
    with Model.load(nano_artifact, provider="cpu-native", threads=1) as model:
        whole = model.session.open_lane()
        whole.step(ids[:, :20])
        at_once = whole.step(ids[:, 20:], keep=4).copy()
        single = model.session.open_lane()
        single.step(ids[:, :20])
        one_by_one = np.concatenate([single.step(ids[:, at : at + 1]).copy() for at in range(20, 24)], axis=1)
    assert np.abs(at_once - one_by_one).max() <= 1e-3  # ONNX Runtime's attention sums in another order


def test_what_trials_say_of_a_graph_is_said_of_its_native_form() -> None:
    choice = AutoChoice(graphs=[], said="50 tokens/s", best=("cpu.onnx", NATIVE))
    attempt = Attempt(graph=NATIVE, provider="CPUExecutionProvider", outcome=Outcome.CHECKED, reason="right")
    assert choice.of(attempt).reason == "right; 50 tokens/s"
    assert choice.of(replace(attempt, graph="webgpu.onnx")).reason == "right"

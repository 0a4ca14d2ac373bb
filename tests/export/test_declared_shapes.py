"""Every shape that a graph declares is the real one: providers such as DirectML compile for a literal dimension."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from thinkport.export.certify.cpu_session import graph_for_cpu
from thinkport.runtime.artifact.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Shapes = dict[str, tuple[int | str, ...]]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """One run's sizes; an `in_place` cache has room for the new tokens too."""

    batch: int
    tokens: int
    past: int
    keep: int
    in_place: bool = False


# The CPU takes several tokens over a past for a batch of one only.
RUNS = (Sizes(batch=1, tokens=5, past=3, keep=2), Sizes(batch=2, tokens=7, past=0, keep=4))


def wrong(model: onnx.ModelProto, folder: Path, sizes: Sizes) -> dict[str, str]:
    """What a graph declares that is not so in a run of these sizes, by the value's name: literals and symbols."""
    declared = declared_shapes(model)
    found = real_shapes(model, folder, sizes)
    faults: dict[str, str] = {}
    symbols: dict[str, int] = {}
    for name, shape in declared.items():
        real = found[name]
        pairs = zip(shape, real, strict=len(shape) == len(real))
        if [symbols.setdefault(dim, size) if isinstance(dim, str) else dim for dim, size in pairs] != list(real):
            faults[name] = f"{shape} is declared, {real} is real with {sizes}"
    return faults


def declared_shapes(model: onnx.ModelProto) -> Shapes:
    graph = model.graph
    return {
        value.name: tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def real_shapes(model: onnx.ModelProto, folder: Path, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """The shapes of all inputs, weights and values that a node computes, in a session of its own."""
    every = onnx.ModelProto()
    every.CopyFrom(model)
    outputs = {value.name for value in every.graph.output}
    made = [name for node in every.graph.node for name in node.output if name and name not in outputs]
    every.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    onnx.save(every, folder / "every-value.onnx")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(folder / "every-value.onnx", options, providers=["CPUExecutionProvider"])
    feeds = {
        value.name: feed(value, sizes) for value in (*session.get_inputs(), *session.get_overridable_initializers())
    }
    names = [value.name for value in session.get_outputs()]
    found = dict(zip(names, session.run(names, feeds), strict=True))
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return stored | {name: array.shape for name, array in (feeds | found).items()}


def feed(value: ort.NodeArg, sizes: Sizes) -> np.ndarray:
    total = sizes.past + sizes.tokens
    if value.name == "input_ids":
        return np.arange(sizes.batch * sizes.tokens).reshape(sizes.batch, sizes.tokens)
    if value.name == "attention_mask":
        return np.ones((sizes.batch, total), np.int64)
    if value.name == "position_ids":
        return np.tile(np.arange(sizes.past, total), (sizes.batch, 1))
    if value.name == "logits_to_keep":
        return np.array([sizes.keep])
    dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int8)": np.int8}[value.type]
    return np.zeros((sizes.batch, value.shape[1], total if sizes.in_place else sizes.past, value.shape[3]), dtype)


def faults_of(artifact: Path, folder: Path) -> dict[str, dict[str, str]]:
    """What is wrong in each graph file of an artifact that has something wrong; its weights are put into `folder`.

    Native graphs are left out: they are for the CPU alone, which compiles for no shape.
    """
    manifest = read_manifest(artifact)
    records = {f"{prefix}{graph.file}": graph for graph in manifest.graphs for prefix in ("", "genai-")}
    shutil.copy(artifact / "weights.bin", folder)
    found: dict[str, dict[str, str]] = {}
    native = {graph.native.graph.file for graph in manifest.graphs if graph.native}
    for path in sorted(path for path in artifact.glob("*.onnx") if path.name not in native):
        graph = records[path.name].model_copy(update={"file": path.name})
        model = ir.to_proto(graph_for_cpu(artifact, graph, manifest.model).loaded)
        found[path.name] = {}
        for sizes in RUNS:
            found[path.name] |= wrong(model, folder, replace(sizes, in_place=graph.kv.in_place))
    assert len(found) >= 2
    return {file: faults for file, faults in found.items() if faults}


ARTIFACTS: dict[str, dict[str, object]] = {
    "every target": {},
    "float32 cache": {"kv": "fp32"},
    "int8 cache": {"kv": "int8", "targets": ("dml", "cuda")},
    "int8 weights": {"recipe": "int8"},
    "float32": {"precision": "fp32"},
    "as traced": {"precision": "fp32", "fuse": False},
}


@pytest.mark.parametrize("settings", ARTIFACTS.values(), ids=ARTIFACTS)
def test_a_declared_dimension_is_the_real_one_in_every_run(
    settings: dict[str, object], nano_checkpoint: Path, exported: Callable[..., Path], tmp_path: Path
) -> None:
    assert faults_of(exported(nano_checkpoint, **settings), tmp_path) == {}


def test_a_wrong_literal_is_found_by_its_name(
    nano_checkpoint: Path, exported: Callable[..., Path], tmp_path: Path
) -> None:
    artifact = exported(nano_checkpoint)
    model = onnx.load(artifact / "dml.onnx", load_external_data=False)
    for value in (*model.graph.value_info, *model.graph.output):
        if value.name in ("logits_narrow", "logits"):
            value.type.tensor_type.shape.dim[1].dim_value = 1
    shutil.copy(artifact / "weights.bin", tmp_path)
    assert set(wrong(model, tmp_path, RUNS[0])) == {"logits_narrow", "logits"}

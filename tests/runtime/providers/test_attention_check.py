"""Attention alone, on the CPU provider as the device: right in float16, and 1 % in one head is a fault."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from thinkport.runtime.artifact.manifest import Graph, ModelShape, read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.machine.attention_probe import TOKENS, attention_graph, first_attention
from thinkport.runtime.providers.attention_check import attention_errors, attention_fault
from thinkport.runtime.providers.ort import CPU

HALF = ["webgpu.onnx", "dml.onnx", "cuda.onnx"]
_NORM = 14  # the input of GroupQueryAttention with which norms begin


class MadeUpDevice:
    """ONNX Runtime whose attention in float16 is off in one head by a factor; norms inside attention do nothing.

    The CPU refuses norms there, and those of a probe change nothing.
    """

    def __init__(self, head: int, factor: float) -> None:
        self.head, self.factor = head, factor

    def __getattr__(self, name: str) -> Any:
        return getattr(onnxruntime, name)

    def InferenceSession(self, model: bytes, *rest: Any, **others: Any) -> Any:  # noqa: N802
        return onnxruntime.InferenceSession(self.changed(model), *rest, **others)

    def changed(self, model: bytes) -> bytes:
        loaded = onnx.load_from_string(model)
        graph = loaded.graph
        node = next(node for node in graph.node if node.op_type == "GroupQueryAttention")
        if any(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for value in graph.input):
            return model  # that is what it is held against
        del node.input[_NORM:]
        kept = [one for one in node.attribute if one.name != "qk_norm_epsilon"]
        del node.attribute[:]
        node.attribute.extend(kept)
        heads = next(one.i for one in kept if one.name == "num_heads")
        scales = np.ones((heads, 128), np.float16)
        scales[self.head] = self.factor
        graph.initializer.append(numpy_helper.from_array(scales.reshape(-1), "scales"))
        node.output[0] = "right"
        graph.node.insert(len(graph.node) - 1, helper.make_node("Mul", ["right", "scales"], ["attended"]))
        return loaded.SerializeToString()


def loaded(artifact: Path, file: str, ort: Any = onnxruntime) -> Any:
    """A graph as `attention_errors` takes it, on the CPU as its device."""
    manifest = read_manifest(artifact)
    graph = next(one for one in manifest.graphs if one.file == file).model_copy(update={"providers": ["Made", CPU]})
    several = graph.several_tokens_over_past
    return SimpleNamespace(
        ort=Renamed(ort), folder=artifact, graph=graph, model=manifest.model, device=None, device_id=None,
        several_tokens_over_past=several, prefill_chunk=graph.prefill_chunk,
    )  # fmt: skip


class Renamed:
    """An ONNX Runtime that calls its CPU provider `Made` where that is asked for."""

    def __init__(self, ort: Any) -> None:
        self.ort = ort

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ort, name)

    def InferenceSession(self, model: bytes, settings: Any, *, providers: list[str], enable_fallback: bool) -> Any:  # noqa: N802
        session = self.ort.InferenceSession(model, settings, providers=[CPU], enable_fallback=enable_fallback)
        if providers != [CPU]:
            session.get_providers = lambda: providers
        return session


@pytest.mark.parametrize("file", ["webgpu.onnx", "dml.onnx", "dml-plain.onnx"])
def test_float16_alone_rounds_little(nano_artifact: Path, file: str) -> None:
    errors = attention_errors(loaded(nano_artifact, file), None)
    assert errors is not None
    assert 1e-5 < errors.max() < 1e-3
    assert attention_fault(errors) is None


@pytest.mark.parametrize("file", HALF)
@pytest.mark.parametrize("head", range(4))
def test_one_percent_in_any_head_is_a_fault(nano_artifact: Path, file: str, head: int) -> None:
    right = attention_errors(loaded(nano_artifact, file, MadeUpDevice(head, 1.0)), None)
    assert right is not None
    assert attention_fault(right) is None
    wrong = attention_errors(loaded(nano_artifact, file, MadeUpDevice(head, 1.01)), None)
    assert wrong is not None
    assert re.search(f"head {head} of its attention alone is off by (0.9|1.0)", attention_fault(wrong) or "")


def test_what_is_no_number_is_a_fault(nano_artifact: Path) -> None:
    errors = attention_errors(loaded(nano_artifact, "webgpu.onnx", MadeUpDevice(0, np.nan)), None)
    assert errors is not None
    assert attention_fault(errors) is not None


def test_a_graph_without_such_an_operator_is_not_held(nano_unfused_artifact: Path) -> None:
    assert attention_errors(loaded(nano_unfused_artifact, "cpu.onnx"), None) is None


def probe_on_the_cpu(artifact: Path, file: str) -> tuple[Graph, ModelShape, np.ndarray, bytes]:
    manifest = read_manifest(artifact)
    graph = next(one for one in manifest.graphs if one.file == file)
    found = first_attention((artifact / file).read_bytes())
    assert found is not None
    model = attention_graph(found, manifest.model, "float32", on_cpu=True)
    shape = manifest.model
    past = np.zeros((1, shape.kv_heads, 0, shape.head_dim), np.float32)
    session = onnxruntime.InferenceSession(model, providers=[CPU])
    feeds = {"input_ids": np.arange(TOKENS)[None], "attention_mask": np.ones((1, TOKENS), np.int64)}
    logits = session.run(["logits"], feeds | {f"past_key_values.0.{part}": past for part in ("key", "value")})[0]
    return graph, shape, logits[0], model


@pytest.mark.parametrize("file", HALF)
def test_a_probe_is_the_attention_of_its_tables(nano_artifact: Path, file: str) -> None:
    _, shape, found, model = probe_on_the_cpu(nano_artifact, file)
    tables = {one.name: numpy_helper.to_array(one) for one in onnx.load_from_string(model).graph.initializer}
    if "qkv.table" in tables:
        sizes = np.cumsum([shape.attention_heads, shape.kv_heads]) * shape.head_dim
        parts = np.split(tables["qkv.table"], sizes, axis=1)
    else:
        parts = [tables[f"{name}.table"] for name in "qkv"]
    q, k, v = (part.reshape(TOKENS, -1, shape.head_dim).transpose(1, 0, 2).astype(np.float64) for part in parts)
    if "cos" in tables:
        q, k = (rotated(one, tables["cos"], tables["sin"]) for one in (q, k))
    k, v = (np.repeat(one, shape.attention_heads // shape.kv_heads, axis=0) for one in (k, v))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(shape.head_dim)
    scores = np.where(np.tri(TOKENS, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    attended = (weights / weights.sum(-1, keepdims=True)) @ v
    np.testing.assert_allclose(found, attended.transpose(1, 0, 2).reshape(TOKENS, -1), atol=2e-5)


def rotated(values: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    first, second = np.split(values, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def test_session_keeps_where_it_is(nano_fp32_artifact: Path) -> None:
    manifest = read_manifest(nano_fp32_artifact)
    session = Session(onnxruntime, nano_fp32_artifact, manifest.graphs[0], manifest.model)
    assert (session.folder, session.device, session.device_id) == (nano_fp32_artifact, None, None)

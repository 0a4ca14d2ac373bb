"""Attention spelled out for long prompts, over a float32 cache and so held strictly against GroupQueryAttention."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired
from tests.plain_recipes import PLAIN

from thinkport.export.errors import GraphError
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.prefill_attention import PrefillAttention
from thinkport.export.passes.quantized_matrices import RowScaledInt8
from thinkport.runtime.artifact.manifest import ModelShape, read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.providers.ort import import_onnxruntime

TOKENS, EXACT = 300, 1e-3


def spelled_out(model: ir.Model, shape: ModelShape) -> int:
    heads = {"heads": shape.attention_heads, "kv_heads": shape.kv_heads, "head_dim": shape.head_dim}
    return fired(PrefillAttention(**heads), model)


def test_chunks_give_the_logits_and_the_cache_of_the_fused_attention(nano_fp32_artifact: Path, tmp_path: Path) -> None:
    manifest = read_manifest(nano_fp32_artifact)
    graph, shape = manifest.graphs[0], manifest.model
    folder = shutil.copytree(nano_fp32_artifact, tmp_path / "spelled")
    model = ir.load(folder / graph.file)
    assert spelled_out(model, shape) == shape.layers
    CleanUp()(model)
    model.graph.opset_imports[""] = 24
    ir.save(model, folder / "spelled.onnx")
    ort = import_onnxruntime()
    fused = Session(ort, folder, graph, shape).open_lane()
    spelled = Session(ort, folder, graph.model_copy(update={"file": "spelled.onnx"}), shape).open_lane()
    ids = np.random.default_rng().integers(0, shape.vocab_size, (1, TOKENS))
    for start, stop in ((0, 130), (130, 131), (131, TOKENS)):
        wanted = fused.step(ids[:, start:stop], keep=stop - start).copy()
        found = spelled.step(ids[:, start:stop], keep=stop - start)
        assert np.abs(found - wanted).max() < EXACT * np.abs(wanted).max()
    for ours, theirs in zip(spelled.read(TOKENS).parts, fused.read(TOKENS).parts, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=EXACT * np.abs(theirs).max())


def test_biases_are_in_the_graph_for_long_prompts_too(narrow_qwen2: Path, exported: Callable[..., Path]) -> None:
    artifact = exported(narrow_qwen2, recipe=PLAIN[64], targets=("cpu",), certificate=True)
    certificate = read_manifest(artifact).certificate
    assert certificate is not None
    figures = {figure.graph: figure for figure in certificate.figures}
    usual, prefill = figures["cpu.onnx"], figures["cpu-prefill.onnx"]
    print(f"mean KL {usual.kl_mean:.3f}, of the graph for long prompts {prefill.kl_mean:.3f}")
    assert prefill.kl_mean <= 1.5 * usual.kl_mean
    assert prefill.correlation >= 0.9 * usual.correlation


def test_a_graph_without_the_fused_attention_is_refused(nano_unfused_artifact: Path) -> None:
    manifest = read_manifest(nano_unfused_artifact)
    model = ir.load(nano_unfused_artifact / manifest.graphs[0].file)
    with pytest.raises(GraphError, match="prefill_attention fired 0 times in layer 0"):
        spelled_out(model, manifest.model)


def test_projections_that_are_not_quantized_are_refused(nano_fp32_artifact: Path) -> None:
    manifest = read_manifest(nano_fp32_artifact)
    model = ir.load(nano_fp32_artifact / manifest.graphs[0].file)
    with pytest.raises(GraphError, match="row_scaled_int8 fired 0 times in layer 0"):
        RowScaledInt8(per_layer=4)(model)

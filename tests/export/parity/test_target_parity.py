"""Every target's graph on the CPU provider, casts and all, held against the same weights, dequantized, in PyTorch.

What a target can't do is not asked of it here either: several tokens over a past. Nothing here runs on a GPU.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.parity.dequantized import Dequantized
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import fresh_ids
from tests.plain_recipes import EXACT, TURNED

from thinkport.export.certify.cpu_session import graph_for_cpu
from thinkport.runtime.artifact.manifest import Graph, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HALF = 0.05  # of the largest logit: three digits through three layers, and room for other kernels
GRAPHS = ("dml.onnx", "dml-plain.onnx", "cuda.onnx", "webgpu.onnx", "webgpu-float32.onnx")


CASES = [
    ("nano", EXACT),
    ("0.6B of two layers", EXACT),
    ("llama of two layers", EXACT),
    ("qwen2 of two layers", EXACT),
    ("nano", TURNED),
    ("qwen2 of two layers", TURNED),
    ("nano", "int8"),
    ("nano", "accurate"),
    ("llama of two layers", "balanced"),
]


@pytest.fixture(params=CASES)
def case(
    request: pytest.FixtureRequest,
    nano_checkpoint: Path,
    narrow_llama: Path,
    narrow_qwen2: Path,
    made_up: Callable[..., Path],
    exported: Callable[..., Path],
) -> tuple[Path, Path]:
    """A checkpoint and its artifact."""
    size, recipe = request.param
    if size == "0.6B of two layers":
        checkpoint = made_up("0.6B", "--layers", "2")
    else:
        narrow = {"nano": nano_checkpoint, "llama of two layers": narrow_llama, "qwen2 of two layers": narrow_qwen2}
        checkpoint = narrow[size]
    return checkpoint, exported(checkpoint, recipe=recipe)


def ways(graph: Graph, ids: np.ndarray) -> dict[str, list[np.ndarray]]:
    """The steps to feed ids in, by what they try."""
    one_by_one = [ids[:, at : at + 1] for at in range(ids.shape[1])]
    found = {"at once": [ids], "one by one": one_by_one, "prefill, then decoding": [ids[:, :41], *one_by_one[41:]]}
    if graph.several_tokens_over_past:
        found["in chunks"] = [ids[:, :17], ids[:, 17:40], *one_by_one[40:]]
    return found


@pytest.mark.parametrize("file", GRAPHS)
def test_a_graph_computes_the_checkpoint_however_its_tokens_come(
    case: tuple[Path, Path], file: str, tmp_path: Path
) -> None:
    checkpoint, artifact = case
    manifest = read_manifest(artifact)
    (graph,) = (graph for graph in manifest.graphs if graph.file == file)
    for name in (file, "weights.bin"):
        shutil.copy(artifact / name, tmp_path)
    reference = Dequantized(checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, 56)
    wanted = reference.logits(ids)
    ir.save(graph_for_cpu(tmp_path, graph, manifest.model).loaded, tmp_path / "on-cpu.onnx")
    for way, steps in ways(graph, ids).items():
        driver = Driver(tmp_path, file="on-cpu.onnx")
        found = np.concatenate([driver.step(step) for step in steps], axis=1)
        print(f"{file}, {way}")
        assert relative(found, wanted) <= HALF

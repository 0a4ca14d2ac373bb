"""Every target's graph on the CPU provider, casts and all, held against the same weights, dequantized, in PyTorch.

What a target can't do is not asked of it here either: several tokens over a past. Nothing here runs on a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    ("wide", EXACT),
    ("llama of two layers", EXACT),
    ("qwen2 of two layers", EXACT),
    ("nano", TURNED),
    ("qwen2 of two layers", TURNED),
    ("nano", "int8"),
    ("nano", "accurate"),
    ("llama of two layers", "balanced"),
]


class Case(NamedTuple):
    """An artifact, and what its weights give in PyTorch for some ids."""

    artifact: Path
    ids: np.ndarray
    wanted: np.ndarray


def made_case(checkpoint: Path, artifact: Path, tokens: int) -> Case:
    reference = Dequantized(checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 1, tokens)
    return Case(artifact, ids, reference.logits(ids))


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest,
    nano_checkpoint: Path,
    wide_qwen3: Path,
    narrow_llama: Path,
    narrow_qwen2: Path,
    exported: Callable[..., Path],
) -> Case:
    kind, recipe = request.param
    kinds = {"nano": nano_checkpoint, "wide": wide_qwen3, "llama of two layers": narrow_llama}
    checkpoint = (kinds | {"qwen2 of two layers": narrow_qwen2})[kind]
    return made_case(checkpoint, exported(checkpoint, recipe=recipe), 56)


@pytest.fixture(scope="module")
def published(made_up: Callable[..., Path], exported: Callable[..., Path]) -> Case:
    """Two layers of the 0.6B under its whole vocabulary."""
    checkpoint = made_up("0.6B", "--layers", "2")
    return made_case(checkpoint, exported(checkpoint, recipe=EXACT), 6)


def ways(graph: Graph, ids: np.ndarray) -> dict[str, list[np.ndarray]]:
    """The steps to feed ids in, by what they try."""
    one_by_one = [ids[:, at : at + 1] for at in range(ids.shape[1])]
    found = {"at once": [ids], "one by one": one_by_one, "prefill, then decoding": [ids[:, :41], *one_by_one[41:]]}
    if graph.several_tokens_over_past:
        found["in chunks"] = [ids[:, :17], ids[:, 17:40], *one_by_one[40:]]
    return found


def on_cpu(artifact: Path, file: str, folder: Path) -> tuple[Graph, Callable[[], Driver]]:
    """A graph's record, and drivers of its form for the CPU, which is written into the folder."""
    manifest = read_manifest(artifact)
    (graph,) = (graph for graph in manifest.graphs if graph.file == file)
    for name in (file, "weights.bin"):
        (folder / name).hardlink_to(artifact / name)
    ir.save(graph_for_cpu(folder, graph, manifest.model).loaded, folder / "on-cpu.onnx")
    return graph, lambda: Driver(folder, file="on-cpu.onnx")


@pytest.mark.parametrize("file", GRAPHS)
def test_a_graph_computes_the_checkpoint_however_its_tokens_come(case: Case, file: str, tmp_path: Path) -> None:
    graph, driver = on_cpu(case.artifact, file, tmp_path)
    for way, steps in ways(graph, case.ids).items():
        alone = driver()
        found = np.concatenate([alone.step(step) for step in steps], axis=1)
        print(f"{file}, {way}")
        assert relative(found, case.wanted) <= HALF


@pytest.mark.parametrize(("file", "bound"), [("cpu-float32-kv.onnx", 1e-3), ("dml.onnx", HALF)])
def test_a_published_vocabulary_gives_the_same_logits(published: Case, file: str, bound: float, tmp_path: Path) -> None:
    driver = on_cpu(published.artifact, file, tmp_path)[1]()
    found = np.concatenate([driver.step(published.ids[:, :5]), driver.step(published.ids[:, 5:])], axis=1)
    assert relative(found, published.wanted) <= bound

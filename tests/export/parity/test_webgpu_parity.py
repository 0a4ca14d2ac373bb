"""WebGPU's graphs on the plugin itself, on an adapter: against PyTorch, and against the same graph on the CPU provider.

Steps have at most 31 tokens: longer ones are wrong on adapters with few lanes in a subgroup.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.export.parity.agreement import check_same
from tests.export.parity.dequantized import Dequantized
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import fresh_ids

from thinkport.deploy import targets
from thinkport.export import ExportSettings, export
from thinkport.runtime.artifact.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from thinkport.runtime.machine.plugin_device import PluginDevice

    Counts = dict[str, int]

CHUNK = 31
PIECES, BUFFER = 4, 40_000  # of the table, by the bytes of a buffer
# Mean KL divergence, in nats, of a graph on two providers, and the largest error against PyTorch, of the largest logit.
ROUNDING = {"webgpu.onnx": (1e-3, 0.05), "webgpu-float32.onnx": (1e-4, 1e-3)}


@pytest.fixture(params=ROUNDING)
def file(request: pytest.FixtureRequest, webgpu: PluginDevice) -> str:
    """A graph that the device can run."""
    if request.param == "webgpu.onnx" and not webgpu.float16:
        pytest.skip(f"{webgpu} has no shader-f16")
    return request.param


@pytest.fixture(scope="module")
def artifact(nano_checkpoint: Path, exported: Callable[..., Path]) -> Path:
    return exported(nano_checkpoint, targets=("cpu", "webgpu"), precision="int4", certificate=False)


@pytest.fixture(scope="module")
def cut_artifact(nano_checkpoint: Path, one_trace: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As for devices whose buffers have less room than the table."""
    folder = tmp_path_factory.mktemp("cut") / "artifact"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(targets.ENTRIES, "webgpu", replace(targets.WEBGPU, buffer_bytes=BUFFER))
        export(
            ExportSettings(
                checkpoint=str(nano_checkpoint),
                output=folder,
                targets=("cpu", "webgpu"),
                precision="int4",
                certificate=False,
            )
        )
    return folder


def run(driver: Driver, ids: NDArray[np.int64], lengths: Sequence[int]) -> NDArray[np.float32]:
    """The logits of ids, fed in steps of these lengths."""
    ends = np.cumsum([0, *lengths])
    return np.concatenate([driver.step(ids[:, start:end]) for start, end in pairwise(ends)], axis=1)


@pytest.mark.parametrize(
    ("made", "decoded"),
    [("artifact", 48), ("cut_artifact", 40), pytest.param("artifact", 200, marks=pytest.mark.long)],
)
def test_prefill_in_uneven_pieces_and_decoding_over_a_growing_cache(
    webgpu: PluginDevice, nano_checkpoint: Path, request: pytest.FixtureRequest, made: str, file: str, decoded: int
) -> None:
    artifact = request.getfixturevalue(made)
    between_providers, against_torch = ROUNDING[file]
    reference = Dequantized(nano_checkpoint, artifact)
    pieces = [CHUNK, 17, 1, CHUNK, 2]
    prompt = sum(pieces)
    ids, grown = fresh_ids(reference.vocabulary, 1, prompt + decoded), decoded // 2
    found = []
    for device in (webgpu, None):
        driver = Driver(artifact, file=file, device=device, capacity=96)
        logits = [run(driver, ids[:, :prompt], pieces)]
        for start in range(prompt, prompt + decoded, grown):
            driver.grow(start + grown)
            logits.append(run(driver, ids[:, start : start + grown], [1] * grown))
        found.append(np.concatenate(logits, axis=1))
    check_same(*found, bound=between_providers)
    assert relative(found[0], reference.logits(ids)) <= against_torch


def test_rows_of_several_lengths_start_and_go_on_together(
    webgpu: PluginDevice, nano_checkpoint: Path, artifact: Path, file: str
) -> None:
    reference = Dequantized(nano_checkpoint, artifact)
    ids = fresh_ids(reference.vocabulary, 3, 20)
    new, driver = np.array([20, 11, 3]), Driver(artifact, batch=3, file=file, device=webgpu)
    first = driver.step(ids, new=new)
    following = fresh_ids(reference.vocabulary, 3, 1)
    second = driver.step(following)
    for row, length in enumerate(new):
        whole = np.concatenate([ids[row : row + 1, :length], following[row : row + 1]], axis=1)
        mine = np.concatenate([first[row : row + 1, :length], second[row : row + 1]], axis=1)
        assert relative(mine, reference.logits(whole)) <= ROUNDING[file][1]


def nodes_that_ran(artifact: Path, file: str, device: PluginDevice, profile: Path) -> tuple[Counts, Counts]:
    """How often each operator ran in one step, on the CPU and on the device."""
    driver = Driver(artifact, file=file, device=device, profile=profile)
    driver.step(np.ones((1, 1), np.int64))
    events = json.loads(Path(driver.session.end_profiling()).read_bytes())
    ran = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    counts = Counter((args["provider"], args["op_name"]) for args in ran)
    on_cpu, on_device = (
        {op: count for (at, op), count in counts.items() if at == provider}
        for provider in ("CPUExecutionProvider", device.provider)
    )
    return on_cpu, on_device


def test_every_node_is_on_the_device_but_counts_of_tokens(
    webgpu: PluginDevice, artifact: Path, file: str, tmp_path: Path
) -> None:
    """What ONNX Runtime made of the graph: norms of heads moved into attention, and one copy, that of the lengths."""
    on_cpu, on_device = nodes_that_ran(artifact, file, webgpu, tmp_path / "profile")
    layers = read_manifest(artifact).model.layers
    assert on_cpu == {"Cast": 2, "Max": 1, "ReduceSum": 1, "Shape": 1, "Squeeze": 1, "Sub": 2}
    assert {op: count for op, count in on_device.items() if op not in ("Cast", "Shape", "Slice")} == {
        "GatherBlockQuantized": 1,
        "GroupQueryAttention": layers,
        "MatMul": 2,
        "MatMulNBits": 4 * layers + 1,
        "MemcpyFromHost": 1,
        "Mul": layers + 1,
        "QuickGelu": layers,
        "Reshape": 5,
        "SimplifiedLayerNormalization": 1,
        "SkipSimplifiedLayerNormalization": 2 * layers,
        "Split": 2 * layers,
    }


def test_pieces_of_tables_are_on_the_device_and_where_an_id_lies_is_found_on_the_cpu(
    webgpu: PluginDevice, cut_artifact: Path, file: str, tmp_path: Path
) -> None:
    on_cpu, on_device = nodes_that_ran(cut_artifact, file, webgpu, tmp_path / "profile")
    assert {op: on_cpu.get(op) for op in ("Clip", "GreaterOrEqual", "Sub")} == {
        "Clip": PIECES,
        "GreaterOrEqual": PIECES - 1,
        "Sub": 2 + PIECES - 1,
    }
    assert not {"GatherBlockQuantized", "Where", "MatMulNBits", "Concat"} & set(on_cpu)
    assert on_device["GatherBlockQuantized"] == PIECES

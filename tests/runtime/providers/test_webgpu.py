"""The WebGPU plugin itself, on an adapter: sessions, lanes and models there against the CPU's provider.

Steps take seconds on a software adapter, so there are few. The graph computes in float32 on both sides.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from thinkport.runtime import Model
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.kv_buffers import DeviceBuffers
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import InputError, ProviderWarning
from thinkport.runtime.providers.ort import AUTO, build_of, candidates
from thinkport.runtime.providers.plugins import Plugins

if TYPE_CHECKING:
    from tests.adapters import Adapter

    from thinkport.runtime.engine.session import Lane
    from thinkport.runtime.machine.plugin_device import PluginDevice

ROUNDING = 2e-3  # of logits and cached values, from sums in another order; a wrong position is off by more than 1
THREADS = """
import sys, warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.providers.ort import import_onnxruntime
from thinkport.runtime.providers.plugins import Plugins

ort, folder = import_onnxruntime(), Path(sys.argv[1])
manifest = read_manifest(folder)
graph = next(one for one in manifest.graphs if one.target == "webgpu")

def talk(seed):
    device = Plugins(ort).devices(graph.providers[0])[0]
    session = Session(ort, folder, graph, manifest.model, 1, device=device)
    ids = np.random.default_rng(seed).integers(0, 200, (1, 8))
    found = []
    for _ in range(2):
        lane = session.open_lane()
        found.append(lane.step(ids)[0, -1].copy())
        lane.write(lane.read(4))
        found.append(lane.step(ids[:, :1])[0, -1].copy())
        del lane
    assert np.allclose(found[:2], found[2:], atol=1e-4)
    return session, found

with ThreadPoolExecutor(2) as threads:
    talks = list(threads.map(talk, range(2)))
alone = talk(1)[1]
assert np.allclose(alone, talks[1][1], atol=1e-4)
print("ended with sessions alive")
"""


def on_both(folder: Path, device: PluginDevice) -> tuple[Session, Session]:
    manifest = read_manifest(folder)
    cpu = next(one for one in manifest.graphs if one.target == "cpu" and one.kv.dtype == "float32")
    graph = next(one for one in manifest.graphs if one.target == "webgpu")
    there = Session(onnxruntime, folder, graph, manifest.model, device=device)
    return there, Session(onnxruntime, folder, cpu, manifest.model)


def test_lanes_prefill_decode_trim_and_are_copied_as_on_the_cpu(
    nano_webgpu_artifact: Path, webgpu: PluginDevice
) -> None:
    there, here = on_both(nano_webgpu_artifact, webgpu)
    assert isinstance(there.buffers, DeviceBuffers)
    assert not there.buffers.at_hand
    ids = np.random.default_rng(7).integers(0, here.vocab_size, (2, 60))
    pairs = [(there.open_lane(), here.open_lane()) for _ in range(2)]

    def agree(pair: tuple[Lane, Lane], part: np.ndarray, keep: int = 1) -> None:
        found, expected = (lane.step(part[None], keep=keep) for lane in pair)
        np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)

    agree(pairs[0], ids[0, :31], keep=3)
    agree(pairs[1], ids[1, :9])  # a second chat between the first one's steps
    agree(pairs[0], ids[0, 31:50])
    agree(pairs[0], ids[0, 50:51])
    for lane in pairs[0]:
        lane.trim(40)
    agree(pairs[0], ids[0, 40:42])
    kept = [lane.read(20) for lane in pairs[0]]
    for part, same in zip(kept[0].parts, kept[1].parts, strict=True):
        np.testing.assert_allclose(part, same, rtol=0, atol=ROUNDING)
    for lane in pairs[1]:
        lane.write(kept[1])
    agree(pairs[1], ids[0, 20:22])
    assert [lane.length for lane in pairs[1]] == [22, 22]


def test_a_model_is_loaded_unloaded_and_reloaded_on_a_device_that_was_asked_for(
    nano_webgpu_artifact: Path, webgpu: PluginDevice
) -> None:
    told = "not checked" if not webgpu.software else "software adapter"
    with pytest.warns(ProviderWarning, match=told):
        model = Model.load(nano_webgpu_artifact, provider="webgpu:0")
    with closing(model):
        chosen = model.provider_report.chosen
        assert chosen
        assert (chosen.graph, chosen.device, chosen.device_name) == ("webgpu-float32.onnx", 0, str(webgpu))
        ids = list(range(20, 32))
        before = model.score(ids).logprob
        model.unload()
        model.reload()
        assert model.score(ids).logprob == pytest.approx(before, abs=ROUNDING)


def test_auto_leaves_a_software_adapter_alone_and_says_so(nano_webgpu_artifact: Path, webgpu: PluginDevice) -> None:
    if not webgpu.software:
        pytest.skip(f"{webgpu} is no software adapter")
    build, graphs = build_of(onnxruntime), read_manifest(nano_webgpu_artifact).graphs
    found = candidates(graphs, AUTO, build.providers, build.version, Plugins(onnxruntime))
    assert found[0].graph.target == "cpu"
    (left,) = (one.obstacle or "" for one in found if one.graph.file == "webgpu-float32.onnx")
    assert "not taken by itself on a software adapter: ask for provider webgpu" in left


def test_a_device_that_is_not_listed_is_refused_with_those_that_are(
    nano_webgpu_artifact: Path, webgpu: PluginDevice
) -> None:
    with pytest.raises(InputError, match=r"finds no device 7 of WebGpu.*, expected one of: 0 "):
        Model.load(nano_webgpu_artifact, provider="webgpu:7")


def test_the_driver_tells_what_it_computes_in(adapter: Adapter, webgpu: PluginDevice) -> None:
    assert webgpu.fault is None
    assert webgpu.float16 == adapter.float16
    obstacle = webgpu.obstacle("float16")
    assert (obstacle is None) == adapter.float16
    assert adapter.float16 or "needs shader-f16" in str(obstacle)


def test_threads_take_turns_on_a_device_and_a_process_ends_with_sessions_alive(
    nano_webgpu_artifact: Path, adapter: Adapter
) -> None:
    command = [sys.executable, "-c", THREADS, str(nano_webgpu_artifact)]
    environment = os.environ | dict(adapter.environment)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ended with sessions alive\n"), done.stderr

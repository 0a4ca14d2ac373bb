"""The KV cache of lanes on a device against the CPU's: what a device's own session does, and what crosses to it.

The device is the CPU through the same code, or a real adapter for WebGPU where one is found. float32 on both sides.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import RLock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest

from thinkport.runtime import InputError, Model
from thinkport.runtime.artifact.manifest import KvLayout, read_manifest
from thinkport.runtime.engine.device_failures import DeviceFailure, failure_of
from thinkport.runtime.engine.kv_buffers import DeviceBuffers
from thinkport.runtime.engine.kv_cache import InPlaceCache, KvSnapshot
from thinkport.runtime.engine.resize_graph import resize_graph
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from thinkport.runtime.engine.session import Lane
    from thinkport.runtime.machine.plugin_device import PluginDevice

CPU = "CPUExecutionProvider"
ROUNDING = 2e-3  # of logits, from sums in another order; a wrong position is off by more than 1


def resizing(dtype: str) -> Any:
    return onnxruntime.InferenceSession(resize_graph(dtype), providers=[CPU])


def buffers(dtype: str) -> DeviceBuffers:
    return DeviceBuffers(onnxruntime, resizing(dtype), RLock())


def on_the_cpu(folder: Path) -> Any:
    """A session whose cache takes the device's path in the CPU's memory."""
    manifest = read_manifest(folder)
    session = Session(onnxruntime, folder, manifest.graphs[0], manifest.model)
    session.buffers = buffers(manifest.graphs[0].kv.dtype)
    return session


@pytest.fixture(scope="module", params=["cpu", "webgpu"])
def pair(request: pytest.FixtureRequest) -> tuple[Session, Session, float]:
    """A session on a device, one on the CPU, and how far their logits may be apart."""
    if request.param == "cpu":
        folder: Path = request.getfixturevalue("nano_fp32_artifact")
        there, apart = on_the_cpu(folder), 0.0
    else:
        device: PluginDevice = request.getfixturevalue("webgpu")
        folder = request.getfixturevalue("nano_webgpu_artifact")
        manifest = read_manifest(folder)
        graph = next(one for one in manifest.graphs if one.target == "webgpu")
        there, apart = Session(onnxruntime, folder, graph, manifest.model, device=device), ROUNDING
    manifest = read_manifest(folder)
    return there, Session(onnxruntime, folder, manifest.graphs[0], manifest.model), apart


def some_ids(session: Session, tokens: int, batch: int = 1) -> Any:
    return np.random.default_rng(11).integers(0, session.vocab_size, (batch, tokens))


def agree(lanes: tuple[Lane, Lane], ids: Any, apart: float, **options: Any) -> None:
    found, expected = (lane.step(ids, **options) for lane in lanes)
    np.testing.assert_allclose(found, expected, rtol=0, atol=apart)


def test_growth_trims_snapshots_and_a_second_lane_are_as_on_the_cpu(pair: tuple[Session, Session, float]) -> None:
    there, here, apart = pair
    ids, lanes = some_ids(there, 288), (there.open_lane(), here.open_lane())
    for start in range(0, 279, 31):
        agree(lanes, ids[:, start : start + 31], apart)  # over the first capacity of 256
    kept = [lane.read(270) for lane in lanes]
    assert [one.length for one in kept] == [270, 270]
    for part, same in zip(kept[0].parts, kept[1].parts, strict=True):
        np.testing.assert_allclose(part, same, rtol=0, atol=apart)
    second = (there.open_lane(), here.open_lane())
    for lane in second:
        lane.write(kept[1].first(9))
    agree(second, ids[:, 9:12], apart)
    for lane in lanes:
        lane.trim(100)
    agree(lanes, ids[:, 100:103], apart)
    agree(second, ids[:, 12:13], apart)
    for lane in lanes:
        lane.write(kept[1].first(5))
    agree(lanes, ids[:, 5:7], apart)


def test_a_ragged_batch_grows_as_on_the_cpu(pair: tuple[Session, Session, float]) -> None:
    there, here, apart = pair
    lanes = (there.open_lane(2), here.open_lane(2))
    for lane in lanes:  # rows of unequal lengths, near the end of the first capacity
        lane.cache.prepare(250)
    agree(lanes, some_ids(there, 24, 2), apart, lengths=np.array([24, 17]))
    for lane in lanes:
        lane.cache.prepare(300)
    agree(lanes, some_ids(there, 1, 2), apart)
    assert [lane.cache.lengths.tolist() for lane in lanes] == [[25, 18], [25, 18]]


def test_a_prompt_makes_room_for_all_of_it_at_once(nano_fp32_artifact) -> None:
    session = on_the_cpu(nano_fp32_artifact)
    lane, make, moved = session.open_lane(), session.buffers.resized, []

    def resized(value, kept, tokens):
        moved.append(tokens)
        return make(value, kept, tokens)

    session.buffers.resized = resized
    lane.expect(600)
    for start in range(0, 600, session.prefill_chunk):
        lane.step(some_ids(session, 600)[:, start : start + session.prefill_chunk])
    assert moved == [1024] * (2 * session.model.layers)


def test_trimming_moves_nothing(nano_fp32_artifact) -> None:
    session = on_the_cpu(nano_fp32_artifact)
    lane = session.open_lane()
    lane.step(some_ids(session, 40))
    before = list(lane.cache._values)
    session.buffers = lane.cache._buffers = SimpleNamespace()  # any use is an error
    lane.trim(3)
    assert all(one is other for one, other in zip(lane.cache._values, before, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize(("held", "length"), [(0, 10), (300, 10), (10, 300)])
def test_a_snapshot_is_written_to_a_cache_on_a_device_and_read_from_it(nano_fp32_artifact, dtype, held, length) -> None:
    model, bound = read_manifest(nano_fp32_artifact).model, Bound()
    cache = InPlaceCache(buffers(dtype), bound, model, KvLayout(dtype=dtype, in_place=True), 1)
    if held:
        cache.prepare(held)
        cache.advance(np.array([held]))
    random, shape = np.random.default_rng(0), (1, model.kv_heads, length, model.head_dim)
    parts = tuple(random.integers(-99, 99, shape).astype(dtype) for _ in range(2 * model.layers))
    cache.write(KvSnapshot(parts=parts))
    assert all(np.array_equal(part, put) for part, put in zip(cache.read(length).parts, parts, strict=True))
    assert bound.values["present.2.value"] is bound.values["past_key_values.2.value"] is cache._values[-1]
    assert not cache._values[-1].numpy()[:, :, length:].any()


class Bound:
    """Remembers what is bound to each name."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.values[name] = value

    bind_ortvalue_output = bind_ortvalue_input


@dataclass
class Crossings:
    """The bytes that a binding sends up from the CPU's memory and brings down to it, by names."""

    real: Any
    up: dict[str, int] = field(default_factory=dict)
    down: dict[str, int] = field(default_factory=dict)

    def bind_input(self, name: str, device: str, number: int, dtype: Any, shape: Any, pointer: int) -> None:
        assert device == "cpu"
        self.up[name] = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.real.bind_input(name, device, number, dtype, shape, pointer)

    def bind_output(self, name: str, device: str, *rest: Any) -> None:
        self.down[name] = int(np.prod(rest[2])) * np.dtype(rest[1]).itemsize if len(rest) > 1 else 0
        self.real.bind_output(name, device, *rest)

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        assert name.startswith("past_key_values."), name
        self.real.bind_ortvalue_input(name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize("past", [10, 4096])
def test_a_step_sends_ids_mask_and_positions_and_brings_one_row_of_logits(nano_fp32_artifact, past) -> None:
    session = on_the_cpu(nano_fp32_artifact)
    lane = session.open_lane()
    lane.cache.prepare(past + 1)
    lane.cache.advance(np.array([past]))
    lane._binding = lane.cache._binding = crossed = Crossings(lane._binding)
    lane.step(np.array([[5]]))
    mask = 8 * (past + 1)  # 32,776 bytes at 4,096 tokens
    given = sum(crossed.up.values())
    assert crossed.up.pop("position_ids", 8) == 8
    assert crossed.up == {"input_ids": 8, "attention_mask": mask}
    assert crossed.down == {"logits": 4 * session.vocab_size}
    assert lane.step_bytes == (given, 4 * session.vocab_size)


def test_a_snapshots_tokens_are_all_that_crosses_of_a_cache(nano_fp32_artifact) -> None:
    session = on_the_cpu(nano_fp32_artifact)
    lane = session.open_lane()
    lane.step(some_ids(session, 40))
    moved: list[tuple[int, int]] = []
    counted = session.buffers
    inner, model = counted._resizing, session.model

    def run(binding: Any) -> None:
        inner.run_with_iobinding(binding)
        moved.append(tuple(binding.get_outputs()[0].shape()[1:3]))

    counted._resizing = SimpleNamespace(io_binding=inner.io_binding, run_with_iobinding=run)
    assert lane.read(7).nbytes == session.kv_size.token * 7
    assert moved == [(model.kv_heads, 7)] * (2 * model.layers)


class Failing:
    """A session of ONNX Runtime that raises `text` in every run from now on."""

    def __init__(self, real: Any, text: str) -> None:
        self.real, self.text = real, text

    def run_with_iobinding(self, binding: Any) -> None:
        raise RuntimeError(self.text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


LOST = "887A0005: the GPU device instance has been suspended. Use GetDeviceRemovedReason"
FULL = "8007000E: Not enough memory resources are available to complete this operation"


def test_a_cache_that_a_device_has_no_room_for_stays_as_it_was(nano_fp32_artifact) -> None:
    session, here = on_the_cpu(nano_fp32_artifact), Model.load(nano_fp32_artifact).session
    session.kv_size = replace(session.kv_size, at_hand=False)
    ids, lanes = some_ids(session, 280), (session.open_lane(), here.open_lane())
    agree(lanes, ids[:, :250], 0)
    room, session.buffers._resizing = session.buffers._resizing, Failing(session.buffers._resizing, FULL)
    with pytest.raises(UnavailableError, match=r"no memory left .*end other programs or chats.*provider='cpu'"):
        lanes[0].step(ids[:, 250:270])
    assert lanes[0].length == 250
    agree(lanes, ids[:, 250:253], 0)
    session.buffers._resizing = room
    agree(lanes, ids[:, 253:270], 0)


def test_a_device_that_is_lost_in_a_reply_says_so_until_the_model_is_reloaded(nano_fp32_artifact) -> None:
    with closing(Model.load(nano_fp32_artifact)) as model:
        session = model.session
        assert isinstance(session, Session)
        session.kv_size = replace(session.kv_size, at_hand=False)
        options: dict[str, Any] = {"sampling": {"temperature": 0.0}, "max_tokens": 12}
        chat = model.chat(settle=False)
        expected = model.chat(settle=False).send("What is 2+3?", **options)
        reply = chat.stream("What is 2+3?", **options)
        next(reply)
        session.inner = Failing(session.inner, LOST)
        says = r"device of CPU.* was lost .*887A0005.*reload\(\) the model"
        with pytest.raises(InputError, match=says):
            list(reply)
        with pytest.raises(InputError, match=says):
            chat.send("What is 2+3?", **options)
        model.reload()
        assert model.session is not session
        again = model.chat(settle=False).send("What is 2+3?", **options)
        assert (again.thought, again.answer) == (expected.thought, expected.answer)
        assert chat.send("What is 2+3?", **options).answer_end


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (LOST, DeviceFailure.LOST),
        ("DXGI_ERROR_DEVICE_HUNG (0x887A0006)", DeviceFailure.LOST),
        ("WebGPU device lost (1): Device was destroyed.", DeviceFailure.LOST),
        ("vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY", DeviceFailure.MEMORY),
        ("CUDA failure 2: out of memory", DeviceFailure.MEMORY),
        ("Failed to allocate memory for requested buffer of size 4096", DeviceFailure.MEMORY),
        (FULL, DeviceFailure.MEMORY),
        ("80070057: the parameter is incorrect", None),
        ("Got invalid dimensions for input: input_ids", None),
    ],
)
def test_a_providers_words_tell_a_lost_device_and_a_full_one_from_other_failures(
    text: str, failure: DeviceFailure | None
) -> None:
    assert failure_of(text) is failure


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_the_graph_that_resizes_is_valid_onnx(dtype: str) -> None:
    onnx.checker.check_model(onnx.load_from_string(resize_graph(dtype)), full_check=True)

"""A session on a device of a given number: all of it is on that device, as DirectML on two cards needs it.

The fakes behave as DirectML was measured to: without a `device_id` the provider takes the card that the system prefers;
`ortvalue_from_numpy` makes buffers on card 0 whatever number it is given; a buffer of another card than a session's
removes the device; a session's own buffers have no `numpy()` and no `update_inplace` elsewhere than on card 0.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session, on_device
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.providers.ort import candidates

DML, WEBGPU, CPU = "DmlExecutionProvider", "WebGpuExecutionProvider", "CPUExecutionProvider"
PREFERRED = 1  # the card that the system prefers


class Value:
    """An OrtValue; `card` is None for the CPU's memory."""

    def __init__(self, real: Any, card: int | None) -> None:
        self.real, self.card = real, card

    @classmethod
    def ortvalue_from_numpy(cls, array: Any, device: str = "cpu", device_id: int = 0) -> "Value":
        assert device in ("cpu", "dml")
        content = array.copy() if device == "dml" else array
        return cls(onnxruntime.OrtValue.ortvalue_from_numpy(content), 0 if device == "dml" else None)

    def numpy(self) -> Any:
        self._check_at_hand()
        return self.real.numpy() if self.card is None else self.real.numpy().copy()

    def update_inplace(self, array: Any) -> None:
        self._check_at_hand()
        self.real.update_inplace(array)

    def _check_at_hand(self) -> None:
        if self.card:
            raise RuntimeError("there is no data transfer for this device")


class Binding:
    """A binding of a session on a card; what it makes for an output on `dml` is on that card."""

    def __init__(self, real: Any, card: int) -> None:
        self.real, self.card = real, card
        self.names: dict[str, int | None] = {}  # outputs in the order first bound, with their cards
        self.given: dict[str, Value] = {}

    def bind_output(self, name: str, device: str = "cpu", device_id: int = 0, *rest: Any) -> None:
        if device_id:
            raise RuntimeError(f"no allocator for device {device_id}: DirectML's memory is number 0 on every card")
        self.names[name] = self.card if device == "dml" else None
        self.given.pop(name, None)
        self.real.bind_output(name, "cpu", 0, *rest)

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        self.check(value)
        self.real.bind_ortvalue_input(name, value.real)

    def bind_ortvalue_output(self, name: str, value: Value) -> None:
        self.check(value)
        self.names[name], self.given[name] = value.card, value
        self.real.bind_ortvalue_output(name, value.real)

    def check(self, value: Value) -> None:
        if value.card not in (None, self.card):
            raise RuntimeError("887A0005: the GPU device instance has been suspended")

    def get_outputs(self) -> list[Value]:
        made = zip(self.names.items(), self.real.get_outputs(), strict=True)
        return [self.given.get(name) or Value(real, card) for (name, card), real in made]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class TwoCards:
    """ONNX Runtime with DirectML on two cards, whose sums the CPU does."""

    def __init__(self) -> None:
        self.OrtValue, self.SessionOptions = Value, onnxruntime.SessionOptions
        self.providers: list[Any] = []
        self.cards: list[int] = []
        self.running: set[int] = set()

    def InferenceSession(self, model: Any, options: Any, *, providers: list[Any], enable_fallback: bool) -> Any:  # noqa: N802
        self.providers = providers
        first = providers[0]
        card = PREFERRED if first == DML else int(first[1]["device_id"])
        if card > 1:
            raise RuntimeError("887A0002: no such adapter")
        self.cards.append(card)
        real = onnxruntime.InferenceSession(model, options, providers=[CPU], enable_fallback=enable_fallback)
        return SimpleNamespace(
            get_providers=lambda: [DML, CPU],
            get_inputs=real.get_inputs,
            get_input_memory_infos=lambda: [SimpleNamespace(name="DML", device_id=0)] * len(real.get_inputs()),
            get_overridable_initializers=real.get_overridable_initializers,
            io_binding=lambda: Binding(real.io_binding(), card),
            run_with_iobinding=lambda binding: self.run(real, binding.real),
        )

    def run(self, real: Any, binding: Any) -> None:
        """Run a session, which DirectML allows to one thread at a time."""
        assert id(real) not in self.running, "two threads run one session"
        self.running.add(id(real))
        sleep(0.002)
        real.run_with_iobinding(binding)
        self.running.remove(id(real))


@pytest.fixture(params=["in place", "appended"])
def folder(
    request: pytest.FixtureRequest, nano_fp32_artifact: Path, exported: Callable[..., Path], nano_checkpoint: Path
) -> Path:
    """An artifact with either kind of KV cache."""
    return (
        nano_fp32_artifact if request.param == "in place" else exported(nano_checkpoint, precision="fp32", fuse=False)
    )


def on_two_cards(folder: Path, device_id: int | None) -> tuple[Session, Session, TwoCards]:
    """A graph of two cards' DirectML on one of them, and the same on the CPU."""
    manifest, ort = read_manifest(folder), TwoCards()
    graph = manifest.graphs[0].model_copy(update={"providers": [DML, CPU]})
    there = Session(ort, folder, graph, manifest.model, device_id=device_id)  # type: ignore[arg-type]
    return there, Session(onnxruntime, folder, manifest.graphs[0], manifest.model), ort


@pytest.mark.parametrize("device_id", [None, 0, 1])
def test_steps_growth_and_snapshots_work_on_either_card(folder: Path, device_id: int | None) -> None:
    there, here, ort = on_two_cards(folder, device_id)
    ids = np.random.default_rng().integers(0, here.vocab_size, (1, 5))
    found, expected = there.open_lane(), here.open_lane()
    assert np.array_equal(found.step(ids), expected.step(ids))
    lanes = (found, expected)
    for lane in lanes:
        lane.trim(3)
        lane.step(np.tile(ids, 60))  # beyond the first buffers, which are copied
    kept = [lane.read(200) for lane in lanes]
    assert all(np.array_equal(a, b) for a, b in zip(kept[0].parts, kept[1].parts, strict=True))
    for lane in lanes:
        lane.write(kept[1].first(7))
    assert (found.length, expected.length) == (7, 7)
    assert np.array_equal(found.step(ids[:, :1]), expected.step(ids[:, :1]))
    assert set(ort.cards) == {device_id or 0}


@pytest.mark.parametrize("device_id", [None, 1])
def test_lanes_in_two_threads_run_their_session_one_after_the_other(folder: Path, device_id: int | None) -> None:
    there, _, _ = on_two_cards(folder, device_id)

    def step(_: int) -> None:
        lane = there.open_lane()
        for _ in range(10):
            lane.step(np.ones((1, 1), np.int64))
            lane.write(lane.read(1))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(step, range(2)))


def test_a_lane_can_be_filled_before_its_first_step(folder: Path) -> None:
    there, here, _ = on_two_cards(folder, 1)
    ids = np.random.default_rng().integers(0, here.vocab_size, (1, 9))
    found, expected = there.open_lane(), here.open_lane()
    expected.step(ids)
    found.write(expected.read(9))
    assert np.array_equal(found.step(ids[:, :1]), expected.step(ids[:, :1]))


def test_without_a_number_a_provider_that_has_devices_takes_the_first(nano_fp32_artifact: Path) -> None:
    _, _, ort = on_two_cards(nano_fp32_artifact, None)
    assert ort.providers == [(DML, {"device_id": "0"}), CPU]


def test_a_provider_that_takes_no_number_gets_none_and_can_t_be_asked_for_one(nano_fp32_artifact: Path) -> None:
    graph = read_manifest(nano_fp32_artifact).graphs[0].model_copy(update={"providers": [WEBGPU, CPU]})
    assert on_device(graph, None) == [WEBGPU, CPU]
    with pytest.raises(InputError, match=f"{WEBGPU} has none to choose from"):
        candidates([graph], f"{WEBGPU}:1", [WEBGPU, CPU], "1.32.0")


def test_a_card_that_is_not_there_is_an_error_of_the_artifact(nano_fp32_artifact: Path) -> None:
    with pytest.raises(ArtifactError, match="887A0002"):
        on_two_cards(nano_fp32_artifact, 2)

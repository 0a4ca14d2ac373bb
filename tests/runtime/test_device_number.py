"""A session on a device of a given number: provider options and every buffer of the KV cache name it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from thinkport.runtime.manifest import read_manifest
from thinkport.runtime.session import Session

DML, CPU = "DmlExecutionProvider", "CPUExecutionProvider"


class Far:
    """ONNX Runtime whose DirectML is the CPU: it computes, and remembers where things were to be."""

    def __init__(self) -> None:
        self.providers: list[Any] = []
        self.places: list[tuple[str, int]] = []
        self.bound: list[tuple[str, int]] = []
        self.OrtValue = SimpleNamespace(ortvalue_from_numpy=self.value)
        self.SessionOptions = onnxruntime.SessionOptions

    def InferenceSession(self, path: str, options: Any, *, providers: list[Any], enable_fallback: bool) -> Any:  # noqa: N802
        self.providers = providers
        real = onnxruntime.InferenceSession(path, options, providers=[CPU], enable_fallback=enable_fallback)
        return SimpleNamespace(
            get_providers=lambda: [DML, CPU],
            get_inputs=real.get_inputs,
            get_overridable_initializers=real.get_overridable_initializers,
            io_binding=lambda: Binding(real.io_binding(), self.bound),
            run_with_iobinding=lambda binding: real.run_with_iobinding(binding.real),
        )

    def value(self, array: Any, device: str = "cpu", device_id: int = 0) -> Any:
        self.places.append((device, device_id))
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)


class Binding:
    """A binding whose outputs on a far device are on the CPU."""

    def __init__(self, real: Any, bound: list[tuple[str, int]]) -> None:
        self.real, self.bound = real, bound

    def bind_output(self, name: str, device: str = "cpu", device_id: int = 0, *rest: Any) -> None:
        self.bound.append((device, device_id))
        self.real.bind_output(name, "cpu", 0, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize("in_place", [True, False])
def test_everything_of_a_session_is_on_its_device(
    in_place: bool, nano_fp32_artifact: Path, exported: Callable[..., Path], nano_checkpoint: Path
) -> None:
    folder = nano_fp32_artifact if in_place else exported(nano_checkpoint, precision="fp32", fuse=False)
    manifest, ort = read_manifest(folder), Far()
    graph = manifest.graphs[0].model_copy(update={"providers": [DML, CPU]})
    assert graph.kv.in_place == in_place
    ids = np.random.default_rng().integers(0, manifest.model.vocab_size, (1, 5))
    there = Session(ort, folder, graph, manifest.model, device_id=3)  # type: ignore[arg-type]
    here = Session(onnxruntime, folder, manifest.graphs[0], manifest.model)
    found, expected = there.open_lane(), here.open_lane()
    assert np.array_equal(found.step(ids), expected.step(ids))
    ort.places.clear()
    for lane in (found, expected):
        lane.trim(3)
        lane.write(expected.read(3))
        lane.step(np.tile(ids, 60))  # beyond the first buffers
    assert np.array_equal(found.step(ids[:, :1]), expected.step(ids[:, :1]))
    assert ort.providers == [(DML, {"device_id": "3"}), CPU]
    assert {place for place in (*ort.places, *ort.bound) if place[0] == "dml"} == {("dml", 3)}
    assert len([place for place in ort.places if place == ("dml", 3)]) >= 2 * manifest.model.layers


def test_without_a_number_the_provider_takes_its_own_default(nano_fp32_artifact: Path) -> None:
    manifest, ort = read_manifest(nano_fp32_artifact), Far()
    graph = manifest.graphs[0].model_copy(update={"providers": [DML, CPU]})
    Session(ort, nano_fp32_artifact, graph, manifest.model)  # type: ignore[arg-type]
    assert ort.providers == [DML, CPU]

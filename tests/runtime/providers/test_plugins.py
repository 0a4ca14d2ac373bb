"""Plugin providers on a made-up ONNX Runtime: which device a graph gets, and each sentence where there is none."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import sleep
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from thinkport.runtime.artifact.manifest import Graph, Manifest
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.extras import install_line
from thinkport.runtime.providers.ort import Candidate, candidates, choose_candidate
from thinkport.runtime.providers.plugin_provider import PluginProvider, _as_tested
from thinkport.runtime.providers.plugins import PLUGINS, Plugins

SAMPLE = Path(__file__).resolve().parents[2] / "contract" / "manifest.json"
CPU, WEBGPU, CUDA = "CPUExecutionProvider", "WebGpuExecutionProvider", "CUDAExecutionProvider"
AVAILABLE = ["AzureExecutionProvider", CPU]
NEW = "numpy"  # stands for the plugin's distribution: installed wherever the tests run


def graph(file: str, target: str, provider: str, activations: str = "float32") -> Graph:
    changes = {"file": file, "target": target, "providers": [provider, CPU], "activations": activations}
    changes["onnxruntime_floor"] = "1.24"
    return Manifest.model_validate_json(SAMPLE.read_text(encoding="utf-8")).graphs[0].model_copy(update=changes)


HALF = graph("webgpu.onnx", "webgpu", WEBGPU, "float16")
WHOLE = graph("webgpu-float32.onnx", "webgpu", WEBGPU)
GRAPHS = [graph("cpu.onnx", "cpu", CPU), HALF, WHOLE]


class MadeUpOrt(ModuleType):
    """ONNX Runtime with a plugin that lists `devices`; `float16` and `starts` are what their driver can do."""

    OrtDeviceMemoryType = SimpleNamespace(DEFAULT=0)
    OrtHardwareDeviceType = SimpleNamespace(CPU=0, GPU=1)
    package_name = "onnxruntime"

    def __init__(self, *devices: Any, version: str = "1.32.0", float16: bool = True, starts: bool = True):
        super().__init__("onnxruntime")
        self.__version__ = version
        self.listed: list[Any] = []
        self.registered: list[str] = []
        self.sessions = 0
        self._devices, self._float16, self._starts = devices, float16, starts

    def register_execution_provider_library(self, name: str, path: str) -> None:
        sleep(0.01)
        if name in self.registered:
            raise RuntimeError(f"EP library is already registered under {name}")
        self.registered.append(name)
        self.listed = list(self._devices)

    def get_ep_devices(self) -> list[Any]:
        return self.listed

    def SessionOptions(self) -> Any:  # noqa: N802
        entries = {"add_session_config_entry": lambda *_: None, "add_provider_for_devices": lambda *_: None}
        return SimpleNamespace(log_severity_level=2, **entries)

    def InferenceSession(self, model: bytes, settings: Any) -> Any:  # noqa: N802
        self.sessions += 1
        if not self._starts:
            raise RuntimeError("Failed to get a WebGPU adapter: No supported adapters")
        return self

    def run(self, _: None, feeds: dict[str, Any]) -> list[Any]:
        if feeds["x"].dtype == np.float16 and not self._float16:
            raise RuntimeError("Program Sqrt requires f16 but the device does not support it.")
        return [np.sqrt(feeds["x"])]


def listed(name: str, *, software: bool = False, memory: object = "memory", discrete: bool = False) -> Any:
    """An OrtEpDevice of the plugin."""
    metadata = {} if software else {"Description": name, "Discrete": str(int(discrete))}
    hardware = SimpleNamespace(type=int(not software), vendor=name, vendor_id=1, device_id=2, metadata=metadata)
    return SimpleNamespace(ep_name=WEBGPU, device=hardware, memory_info=lambda _: memory)


CARD, OTHER = listed("A card", discrete=True), listed("Another")
SOFTWARE = listed("A CPU", software=True)


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginProvider:
    """A plugin that is installed in the version that was tested."""
    (tmp_path / "made_up_plugin.py").write_text("def get_library_path():\n    return 'library.so'\n")
    monkeypatch.syspath_prepend(tmp_path)
    pair = ((np.__version__, "1.32.0"),)
    return replace(PLUGINS[0], distribution=NEW, module="made_up_plugin", tested=pair)


def found(ort: Any, entry: PluginProvider, asked: str = "webgpu", graphs: Sequence[Graph] = GRAPHS) -> list[Candidate]:
    return candidates(graphs, asked, AVAILABLE, ort.__version__, Plugins(ort, [entry]))


def test_graphs_of_a_plugin_stand_before_the_cpus_and_take_its_first_device(entry: PluginProvider) -> None:
    ort = MadeUpOrt(SOFTWARE, CARD, OTHER)
    order = found(ort, entry, "auto")
    assert [one.graph.file for one in order] == ["webgpu.onnx", "webgpu-float32.onnx", "cpu.onnx"]
    assert [one.plugin and one.plugin.name for one in order] == ["A card", "A card", None]


def test_a_number_is_that_of_the_plugins_order(entry: PluginProvider) -> None:
    ort = MadeUpOrt(OTHER, CARD)
    assert [one.plugin.name for one in found(ort, entry, "webgpu:1") if one.plugin] == ["A card"] * 2
    (first, *_) = found(ort, entry, "webgpu:2")
    assert first.obstacle == (
        "finds no device 2 of WebGpuExecutionProvider, expected one of: 0 Another (Another), 1 A card (A card)"
    )


@pytest.mark.parametrize("order", [(CARD, OTHER), (OTHER, CARD)])
def test_a_device_that_the_plugin_does_not_start_is_refused(entry: PluginProvider, order: tuple[Any, Any]) -> None:
    number = order.index(OTHER)
    (first, *_) = found(MadeUpOrt(*order), entry, f"webgpu:{number}")
    assert first.plugin is None
    assert str(first.obstacle).startswith(f"can't run on device {number}, Another (Another): numpy")
    assert f"starts A card (A card) whichever is asked for: leave :{number} out" in str(first.obstacle)
    assert [one.plugin and one.plugin.name for one in found(MadeUpOrt(*order), entry)] == ["A card"] * 2


def test_of_devices_that_are_equals_none_can_be_chosen_and_both_are_named(entry: PluginProvider) -> None:
    ort = MadeUpOrt(CARD, listed("A second card", discrete=True), OTHER)
    assert str(found(ort, entry)[0].plugin) == "A card or A second card (A card)"
    assert all("can't run on device" in str(one.obstacle) for one in found(ort, entry, "webgpu:0"))


def test_a_software_adapter_is_taken_only_by_name(entry: PluginProvider) -> None:
    ort = MadeUpOrt(SOFTWARE)
    assert all(one.plugin and one.plugin.software for one in found(ort, entry))
    (first, *_) = found(ort, entry, "auto")
    assert first.graph.file == "cpu.onnx"
    assert ort.sessions == 0


def test_a_device_without_memory_is_none(entry: PluginProvider) -> None:
    (first, *_) = found(MadeUpOrt(listed("virtual", memory=None)), entry)
    assert str(first.obstacle).startswith("finds no device for numpy")


def test_nothing_is_registered_for_a_graph_of_another_provider(entry: PluginProvider) -> None:
    ort = MadeUpOrt(CARD)
    assert [one.obstacle for one in found(ort, entry, "cpu")] == [None]
    assert [one.obstacle for one in found(ort, entry, "auto", GRAPHS[:1])] == [None]
    assert ort.registered == []


def test_a_library_is_registered_once_whichever_thread_asks_first(entry: PluginProvider) -> None:
    ort = MadeUpOrt(CARD)
    with ThreadPoolExecutor(8) as threads:
        asked = list(threads.map(lambda _: found(ort, entry)[0].plugin, range(8)))
    assert ort.registered == ["thinkport.webgpu"]
    assert asked == [asked[0]] * 8


def test_a_library_that_the_program_registered_itself_is_used(entry: PluginProvider) -> None:
    ort = MadeUpOrt(CARD)
    ort.listed = [CARD]
    assert found(ort, entry)[0].obstacle is None
    assert ort.registered == []


@pytest.mark.parametrize(
    ("changes", "version", "says"),
    [
        ({"distribution": "no-such-plugin"}, "1.32.0", r"^needs no-such-plugin, which is not installed: pip install"),
        ({"tested": (("0.1.0", "1.32.0"),)}, "1.32.0", r"an untested pair can crash, expected 0\.1\.0 with 1\.32\.0"),
        ({}, "1.33.0", r"with onnxruntime 1\.33\.0: an untested pair can crash"),
        ({}, "1.31.9", r"with onnxruntime 1\.31\.9: an untested pair can crash"),
    ],
)
def test_what_must_be_installed_is_said_with_its_line(
    entry: PluginProvider, changes: dict[str, Any], version: str, says: str
) -> None:
    ort = MadeUpOrt(CARD, version=version)
    (first, *_) = found(ort, replace(entry, **changes))
    assert first.obstacle is not None
    assert install_line("webgpu") in first.obstacle
    with pytest.raises(InputError, match=says.removeprefix("^")) as refused:
        choose_candidate(GRAPHS, "webgpu", AVAILABLE, version, Plugins(ort, [replace(entry, **changes)]))
    assert str(refused.value).count("pip install") == 1
    assert ort.registered == []


def test_a_library_that_does_not_load_is_installed_anew(entry: PluginProvider) -> None:
    """To install what pip finds installed changes nothing."""
    (first, *_) = found(MadeUpOrt(CARD), replace(entry, module="no_such_module"))
    assert re.match("can't load numpy .*No module named", str(first.obstacle))
    assert f"pip install --force-reinstall --no-deps numpy=={np.__version__}" in str(first.obstacle)


def test_a_version_that_is_none_fits_nothing() -> None:
    assert not _as_tested("weird!", "0.4.0")


@pytest.mark.parametrize(("version", "fits"), [("1.32.4", True), ("1.32.1.dev20261101", True), ("1.33.0.dev1", False)])
def test_newer_patches_of_a_tested_pair_fit(entry: PluginProvider, version: str, fits: bool) -> None:
    assert (found(MadeUpOrt(CARD, version=version), entry)[0].obstacle is None) == fits


def test_another_build_is_uninstalled_first(entry: PluginProvider) -> None:
    assert "pip uninstall -y onnxruntime-directml, then pip install" in str(
        entry.lacks("1.24.4", "onnxruntime-directml")
    )


def test_a_provider_that_is_built_in_needs_no_plugin() -> None:
    missing = replace(PLUGINS[0], distribution="no-such-plugin")
    ort = MadeUpOrt()
    order = candidates(GRAPHS, "auto", [WEBGPU, CPU], "1.32.0", Plugins(ort, [missing]))
    assert [one.graph.file for one in order] == ["webgpu.onnx", "webgpu-float32.onnx", "cpu.onnx"]
    assert not any(one.obstacle or one.brought for one in order)


def test_without_shader_f16_the_float32_graph_is_chosen(entry: PluginProvider) -> None:
    ort = MadeUpOrt(CARD, float16=False)
    chosen = choose_candidate(GRAPHS, "webgpu", AVAILABLE, "1.32.0", Plugins(ort, [entry]))
    assert chosen.graph.file == "webgpu-float32.onnx"
    assert found(ort, entry)[0].started.obstacle == "needs shader-f16, which A card (A card) does not have"
    assert ort.sessions == 2  # each question is asked once a process


def test_a_driver_that_does_not_start_is_an_obstacle(entry: PluginProvider) -> None:
    ort = MadeUpOrt(CARD, starts=False)
    assert choose_candidate(GRAPHS, "auto", AVAILABLE, "1.32.0", Plugins(ort, [entry])).graph.file == "cpu.onnx"
    with pytest.raises(InputError, match=r"can't start on A card .*No supported adapters: install or update"):
        choose_candidate(GRAPHS, "webgpu", AVAILABLE, "1.32.0", Plugins(ort, [entry]))
    with pytest.raises(ArtifactError, match="runs none of the graphs"):
        choose_candidate(GRAPHS[1:], "auto", AVAILABLE, "1.32.0", Plugins(ort, [entry]))


def test_the_facts_of_a_plugin_say_what_it_has_and_what_it_needs(entry: PluginProvider) -> None:
    (facts,) = Plugins(MadeUpOrt(CARD, SOFTWARE, float16=False), [entry]).facts()
    assert (facts.needs, facts.loaded, facts.version) == (None, True, np.__version__)
    assert [(one.name, one.software, one.float16) for one in facts.devices] == [
        ("A card", False, False),
        ("software adapter", True, False),
    ]
    (none,) = Plugins(MadeUpOrt(), [entry]).facts()
    assert str(none.needs).startswith("finds no device: install the graphics card's driver")
    (missing,) = Plugins(MadeUpOrt(CARD), [replace(entry, distribution="no-such-plugin")]).facts()
    assert (missing.version, missing.loaded, missing.devices) == (None, False, ())

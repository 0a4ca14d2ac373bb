"""The choice of a provider among graphs on a plugin's devices: what is remembered of them, and what is said."""

from pathlib import Path
from typing import Any

import pytest
from tests.runtime.providers.test_plugins import CARD, CPU, GRAPHS, HALF, SOFTWARE, MadeUpOrt
from tests.runtime.providers.test_provider_choice import PLAIN, Bench

from thinkport.runtime.artifact.manifest import Graph
from thinkport.runtime.errors import InputError, ProviderWarning
from thinkport.runtime.providers.plugin_provider import PluginProvider
from thinkport.runtime.providers.plugins import PLUGINS, Plugins
from thinkport.runtime.providers.provider_choice import Machine, ProviderChoice
from thinkport.runtime.providers.provider_report import Outcome
from thinkport.runtime.providers.verdicts import MOST_TRIALS, Verdict


class Fitting(PluginProvider):
    """The plugin of the table, installed and fitting whatever is installed here."""

    version = "0.4.0"

    def lacks(self, onnxruntime: str, build: str = "") -> str | None:
        return None


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginProvider:
    (tmp_path / "made_up_plugin.py").write_text("def get_library_path():\n    return 'library.so'\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = PLUGINS[0]
    return Fitting(
        provider=own.provider,
        distribution=own.distribution,
        module="made_up_plugin",
        extra=own.extra,
        tested=own.tested,
        no_device=own.no_device,
    )


def choice(bench: Bench, entry: PluginProvider, ort: MadeUpOrt) -> ProviderChoice:
    bench.machine = Machine(build=PLAIN, devices=[], cpu="avx2", verdicts=bench.verdicts, plugins=Plugins(ort, [entry]))
    return bench.choice


def chosen(found: ProviderChoice, asked: str = "auto", graphs: list[Graph] = GRAPHS) -> Any:
    return found.choose(graphs, asked).report.chosen


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_graph_on_a_device_is_checked_and_remembered_with_device_and_plugin(
    bench: Bench, entry: PluginProvider
) -> None:
    found = choice(bench, entry, MadeUpOrt(CARD))
    first = chosen(found)
    assert (first.graph, first.outcome) == ("webgpu.onnx", Outcome.CHECKED)
    assert str(first).startswith("webgpu.onnx on WebGpu, A card (A card): agrees")
    assert chosen(found).outcome is Outcome.REMEMBERED
    key = found.key(found.choose(GRAPHS, "auto").candidate)
    assert key.package == "onnxruntime 1.32.0 with onnxruntime-ep-webgpu 0.4.0"
    assert key.devices == ("A card (A card)",)


def test_what_a_device_can_t_do_is_no_fault_and_warns_nobody(
    bench: Bench, entry: PluginProvider, recwarn: pytest.WarningsRecorder
) -> None:
    assert chosen(choice(bench, entry, MadeUpOrt(CARD, starts=False))).provider == CPU
    assert chosen(choice(bench, entry, MadeUpOrt(CARD, float16=False))).graph == "webgpu-float32.onnx"
    assert not [one for one in recwarn if issubclass(one.category, ProviderWarning)]


def test_a_driver_that_ends_the_process_as_it_starts_is_left_alone_in_the_end(
    bench: Bench, entry: PluginProvider
) -> None:
    ort = MadeUpOrt(CARD)
    found = choice(bench, entry, ort)
    started: list[Verdict] = []
    key = found.key(found._start(candidate := next(iter(_listed(found)))))

    def ends(model: bytes, settings: Any) -> Any:
        started.append(bench.verdicts.read(key))
        raise RuntimeError("no device")

    ort.InferenceSession = ends  # type: ignore[method-assign]
    vars(candidate.plugin).pop("fault", None)
    vars(candidate.plugin).pop("float16", None)
    found._start(candidate)
    assert started[0].trials == 1  # written before the driver runs
    assert bench.verdicts.read(key) == Verdict()  # and taken back, since the process goes on
    bench.verdicts.write(key, Verdict(trials=MOST_TRIALS))
    with pytest.warns(ProviderWarning, match="webgpu.onnx on WebGpu.*the check ended the process"):
        assert found.choose([GRAPHS[0], HALF], "auto").candidate.graph.file == "cpu.onnx"


def _listed(found: ProviderChoice) -> list[Any]:
    from thinkport.runtime.providers.ort import candidates

    machine = found._machine
    return candidates([HALF], "webgpu", machine.build.providers, machine.build.version, machine.plugins)


def test_a_software_adapter_that_was_asked_for_runs_with_a_warning(bench: Bench, entry: PluginProvider) -> None:
    with pytest.warns(ProviderWarning, match="software adapter computes on the CPU and is slower"):
        assert chosen(choice(bench, entry, MadeUpOrt(SOFTWARE)), "webgpu").graph == "webgpu.onnx"


def test_a_name_that_can_t_be_had_says_what_the_device_lacks(bench: Bench, entry: PluginProvider) -> None:
    with pytest.raises(InputError, match=r"needs shader-f16.*Leave the provider out"):
        choice(bench, entry, MadeUpOrt(CARD, float16=False)).choose([HALF], "webgpu:0")

"""The door to ONNX Runtime: imports it, tells its builds apart, and ranks an artifact's graphs by what it can run.

ONNX Runtime comes as several distributions that write into one folder, `onnxruntime`; the last one installed wins and
pip tells nobody. Knows the manifest's graphs and what the installed ONNX Runtime offers; holds no table of targets.
"""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import distributions
from types import ModuleType
from typing import Self

from packaging.version import Version

from thinkport.runtime.artifact.manifest import Graph
from thinkport.runtime.errors import ArtifactError, InputError, MissingExtraError, ThinkportError
from thinkport.runtime.extras import install_line, installs_here, uninstall_line
from thinkport.runtime.machine.plugin_device import PluginDevice
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.plugins import Plugins

AUTO = "auto"
_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_DIGITS = 3  # of a device's number
_FOLDER = "onnxruntime"
CPU = "CPUExecutionProvider"


@dataclass(frozen=True, kw_only=True)
class ProviderName:
    """What a user calls a provider by.

    `name` is as `candidates` takes it; `device` is the provider's own number of a device, None where none was named.
    """

    name: str
    device: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`dml`, or `dml:1` for the second device that DirectML lists.

        Raises:
            InputError: what follows the colon is no number.
        """
        name, colon, number = text.partition(":")
        if colon and not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
            raise InputError(f"provider {text!r} ends with {number!r}, expected the number of a device, as in {name}:1")
        return cls(name=name, device=int(number) if colon else None)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A graph that may be asked for; `obstacle` says why the installed build can't run it, None where it can.

    `device` is the number of a device of its first provider, None for the provider's default. `plugin` is the device
    where a plugin brings that provider, which `brought` says even where there is none. `kernels` are thinkport's own,
    of which a native graph is made.
    """

    graph: Graph
    obstacle: str | None = None
    device: int | None = None
    plugin: PluginDevice | None = None
    brought: bool = False
    kernels: Kernels | None = None

    @property
    def place(self) -> tuple[int | None, PluginDevice | None, Kernels | None]:
        """Where it runs, as the last arguments of a `Session`."""
        return self.device, self.plugin, self.kernels

    @property
    def started(self) -> "Candidate":
        """The same, with the obstacle that starting a plugin's device shows; that can end the process."""
        if self.obstacle or self.plugin is None:
            return self
        return replace(self, obstacle=self.plugin.obstacle(self.graph.activations))


def import_onnxruntime(extra: str = "cpu") -> ModuleType:
    """ONNX Runtime, imported on the first call; its telemetry is off unless the user set `ORT_DISABLE_TELEMETRY`.

    It reads that variable as it is loaded. The process's environment is afterwards what it was.

    Raises:
        MissingExtraError: no build of ONNX Runtime is installed; the message carries the install line for `extra`.
    """
    unset = _TELEMETRY not in os.environ
    os.environ.setdefault(_TELEMETRY, "1")
    try:
        ort = import_module("onnxruntime")
        if unset:
            ort.disable_telemetry_events()  # for what looks at the variable later than that
        return ort
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"no ONNX Runtime is installed, expected one of its builds: {install_line(extra)}"
        ) from error
    finally:
        if unset:
            os.environ.pop(_TELEMETRY, None)


def extra_of(graphs: Sequence[Graph], provider: str) -> str:
    """The extra that brings ONNX Runtime for what `provider` names: a target's has its name; else the CPU's."""
    name = ProviderName.parse(provider).name
    return next((graph.target for graph in graphs if _is_named(graph, name)), "cpu")


def load_libraries(ort: ModuleType) -> str:
    """Load what a build's accelerators need of the libraries that pip installed; returns what was missing, in a line.

    A build finds CUDA's libraries of the system by itself; those that came as packages it has to be told to load.
    """
    if not getattr(ort, "cuda_version", ""):
        return ""
    told = io.StringIO()
    with redirect_stdout(told):
        ort.preload_dlls()
    return "; ".join(line.strip() for line in told.getvalue().splitlines() if "Failed to load" in line)


def candidates(
    graphs: Sequence[Graph],
    provider: str,
    available: Sequence[str],
    version: str,
    plugins: Plugins | None = None,
    kernels: Kernels | None = None,
) -> list[Candidate]:
    """The graphs that `provider` names, the best first: those that run before those that can't.

    `provider` is `auto`, a target as the manifest names it (`cpu`), a provider's own name, or a graph's file without
    its suffix (`dml-plain`); a device's number may follow (`dml:1`, see `ProviderName`). Graphs are in ONNX Runtime's
    own order of providers, which has accelerators before the CPU, then the manifest's: the best graph of a target
    stands first. `plugins` bring providers that the build does not have, just before the CPU's; None is a build alone.
    With `kernels` the native form of a graph stands before it, where they can run it or it is what `provider` names.

    Raises:
        InputError: `provider` names nothing in this artifact, or a device where there are none to choose from.
    """
    asked = ProviderName.parse(provider)
    auto = asked.name.casefold() == AUTO
    wanted = [graph for graph in graphs if auto or _is_named(graph, asked.name)]
    native = list(_native(graphs, asked.name, kernels, available, version))
    if not wanted and not native:
        targets, files = (graph.target for graph in graphs), (graph.file.removesuffix(".onnx") for graph in graphs)
        names = ", ".join([AUTO, *dict.fromkeys((*targets, *files)), "an ONNX Runtime provider"])
        raise InputError(f"no graph for provider {provider!r} in this artifact, expected one of: {names}")
    brought = {
        graph.providers[0] for graph in wanted if plugins is not None and plugins.brings(graph.providers[0], available)
    }
    numbered = any(graph.has_devices or graph.providers[0] in brought for graph in wanted)
    if asked.device is not None and (auto or not numbered):
        raise InputError(
            f"provider {provider!r} names a device, and {asked.name} has none to choose from: leave :{asked.device} "
            "out, or name the graphics card's provider"
        )
    built_in = [name for name in available if name not in brought]
    found = [
        _placed(plugins, graph, version, asked.device, auto=auto)
        if plugins is not None and graph.providers[0] in brought
        else Candidate(graph=graph, obstacle=_obstacle(graph, built_in, version), device=asked.device)
        for graph in wanted
    ]
    found = [*native, *found]
    order = [name for name in built_in if name != CPU]
    order += [*sorted(brought), CPU]

    def place(one: Candidate) -> int:
        return len(order) if one.obstacle else order.index(one.graph.providers[0])

    return sorted(found, key=place)


def choose_graph(graphs: Sequence[Graph], provider: str, available: Sequence[str], version: str) -> Graph:
    """The best graph that the installed build can run; see `candidates`.

    Raises:
        InputError: `provider` names nothing in this artifact, or its provider is not in the installed build.
        ArtifactError: no graph of the artifact runs with the installed ONNX Runtime.
    """
    return choose_candidate(graphs, provider, available, version).graph


def choose_candidate(
    graphs: Sequence[Graph],
    provider: str,
    available: Sequence[str],
    version: str,
    plugins: Plugins | None = None,
    kernels: Kernels | None = None,
) -> Candidate:
    """The best candidate that can run here, a plugin's device started; raises as `choose_graph` does."""
    found = [one.started for one in candidates(graphs, provider, available, version, plugins, kernels)]
    best = next((one for one in found if not one.obstacle), None)
    if best is None:
        raise refusal(found, provider, available, version)
    return best


def refusal(
    found: Sequence[Candidate], provider: str, available: Sequence[str], version: str, clash: str = ""
) -> ThinkportError:
    """The error for candidates that all have an obstacle; `clash` says what is wrong with the installed builds."""
    seen = [one.obstacle for one in found]
    told = ("likewise" if obstacle in seen[:at] else obstacle for at, obstacle in enumerate(seen))
    obstacles = "; ".join(f"{one.graph.file} {why}" for one, why in zip(found, told, strict=True))
    kind = ArtifactError if provider == AUTO else InputError
    refused = f"ONNX Runtime {version} with {', '.join(available)} runs none of the graphs: {obstacles}"
    if all(one.brought for one in found):
        return kind(f"{refused}. {clash}" if clash else refused)  # a plugin's obstacle says what to do
    target = found[0].graph.target
    if not installs_here(target):
        return kind(f"{refused}. No build of ONNX Runtime with it is for this system: leave the provider out")
    cure = clash or f"Only one build of ONNX Runtime can be installed: {uninstall_line(*installed_builds())}"
    return kind(f"{refused}. {cure}, then {install_line(target)}")


def _is_named(graph: Graph, provider: str) -> bool:
    names = (graph.target, graph.providers[0], graph.file.removesuffix(".onnx"))
    return provider.casefold() in {name.casefold() for name in names}


def _native(
    graphs: Sequence[Graph], provider: str, kernels: Kernels | None, available: Sequence[str], version: str
) -> Iterator[Candidate]:
    """The native forms of graphs that `provider` names.

    Those that can run, those that it names by their files, and where kernels are installed in vain, all: to say why.
    """
    for graph in graphs:
        if graph.native is None or kernels is None:
            continue
        own = graph.native.graph
        named = provider.casefold() == own.file.removesuffix(".onnx").casefold()
        if not named and provider.casefold() != AUTO and not _is_named(graph, provider):
            continue
        obstacle = _obstacle(own, available, version) or kernels.obstacle
        if named or obstacle is None or kernels.useless:
            yield Candidate(graph=own, obstacle=obstacle, kernels=kernels)


def _placed(plugins: Plugins, graph: Graph, version: str, number: int | None, *, auto: bool) -> Candidate:
    """A graph of a provider that a plugin brings, on one of the plugin's devices."""
    try:
        device, obstacle = plugins.place(graph, number, auto=auto), _floor(graph, version)
    except InputError as error:
        device, obstacle = None, str(error)
    return Candidate(graph=graph, obstacle=obstacle, device=number, plugin=device, brought=True)


def _obstacle(graph: Graph, available: Sequence[str], version: str) -> str | None:
    if graph.providers[0] not in available:
        return f"needs {graph.providers[0]}"
    return _floor(graph, version)


def _floor(graph: Graph, version: str) -> str | None:
    # A nightly build of a release counts as the release.
    if Version(Version(version).base_version) < Version(graph.onnxruntime_floor):
        return f"needs ONNX Runtime {graph.onnxruntime_floor} or newer"
    return None


@dataclass(frozen=True, kw_only=True)
class OrtBuild:
    """The build that is imported: its distribution, its version and the providers it was built with, best first."""

    package: str
    version: str
    providers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.package} {self.version}"

    def runs(self, graph: Graph) -> bool:
        """Whether it is new enough for a graph."""
        return _floor(graph, self.version) is None


def build_of(ort: ModuleType) -> OrtBuild:
    """The build of the imported module, by the name that its own files give."""
    package = getattr(ort, "package_name", "") or _FOLDER
    return OrtBuild(package=package, version=ort.__version__, providers=tuple(ort.get_available_providers()))


def installed_builds() -> dict[str, str]:
    """Every installed distribution that writes into ONNX Runtime's folder: name to version. Takes some milliseconds."""
    found = {}
    for one in distributions():
        name = one.metadata["Name"] or ""
        if name.startswith(_FOLDER) and any(file.parts[0] == _FOLDER for file in one.files or ()):
            found[name] = one.version
    return found


def clash_of(builds: Mapping[str, str]) -> str:
    """What to do about several builds in one folder, in words; nothing where there is one or none."""
    if len(builds) < 2:
        return ""
    names = " and ".join(f"{name} {version}" for name, version in sorted(builds.items()))
    return f"{names} are installed over one another, which leaves a mixture: {uninstall_line(*builds)}"

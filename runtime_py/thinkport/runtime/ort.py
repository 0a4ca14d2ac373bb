"""The door to ONNX Runtime: imports it, and picks the graph of an artifact that the installed build can run.

Knows the manifest's graphs and what the installed ONNX Runtime offers; holds no table of targets.
"""

import os
import re
from importlib import import_module
from types import ModuleType

from thinkport.runtime.errors import ArtifactError, InputError, MissingExtraError
from thinkport.runtime.manifest import Graph

AUTO = "auto"


def import_onnxruntime(extra: str = "cpu") -> ModuleType:
    """ONNX Runtime, imported on the first call; its telemetry is off unless the user set `ORT_DISABLE_TELEMETRY`.

    Raises:
        MissingExtraError: no build of ONNX Runtime is installed; the message carries the install line for `extra`.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'no ONNX Runtime is installed, expected one of its builds: pip install "thinkport[{extra}]"'
        ) from error


def choose_graph(graphs: list[Graph], provider: str, available: list[str], version: str) -> Graph:
    """The graph to run: its first provider must be `available` and its floor at most `version`.

    `provider` is `auto`, a target as the manifest names it (`cpu`), a provider's own name, or a graph's file without
    its suffix (`dml-plain`). With `auto` the order is ONNX Runtime's own, which lists accelerators before the CPU, then
    the manifest's: the best graph of a target stands first.

    Raises:
        InputError: `provider` names nothing in this artifact, or its provider is not in the installed build.
        ArtifactError: no graph of the artifact runs with the installed ONNX Runtime.
    """
    wanted = [graph for graph in graphs if provider == AUTO or _is_named(graph, provider)]
    if not wanted:
        names = ", ".join([AUTO, *dict.fromkeys(graph.target for graph in graphs)])
        raise InputError(f"no graph for provider {provider!r} in this artifact, expected one of: {names}")
    usable = [graph for graph in wanted if not _obstacle(graph, available, version)]
    if usable:
        return min(usable, key=lambda graph: available.index(graph.providers[0]))
    obstacles = "; ".join(f"{graph.file} {_obstacle(graph, available, version)}" for graph in wanted)
    extra = wanted[0].target
    kind = ArtifactError if provider == AUTO else InputError
    raise kind(
        f"ONNX Runtime {version} with {', '.join(available)} runs none of the graphs: {obstacles}. Only one build of "
        f'ONNX Runtime can be installed: uninstall this one, then pip install "thinkport[{extra}]"'
    )


def _is_named(graph: Graph, provider: str) -> bool:
    names = (graph.target, graph.providers[0], graph.file.removesuffix(".onnx"))
    return provider.casefold() in {name.casefold() for name in names}


def _obstacle(graph: Graph, available: list[str], version: str) -> str | None:
    if graph.providers[0] not in available:
        return f"needs {graph.providers[0]}"
    if _release(version) < _release(graph.onnxruntime_floor):
        return f"needs ONNX Runtime {graph.onnxruntime_floor} or newer"
    return None


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

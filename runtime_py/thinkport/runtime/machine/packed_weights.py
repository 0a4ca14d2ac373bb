"""Opens a graph in ONNX Runtime over packed weights that an earlier load kept in the machine's cache, if there are any.

ONNX Runtime packs quantized weights at each load, into memory that no other process shares and the system can't drop.
Kept in a file, that memory is a mapping of the file. A later load still packs and compares the result with the file, so
a damaged file or one of another CPU is an error and never a wrong result. Knows ONNX Runtime's options and the cache;
must not know what a graph computes.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from thinkport.runtime.errors import CacheWarning
from thinkport.runtime.machine.cache_record import CacheKey
from thinkport.runtime.machine.cpu_features import cpu_features
from thinkport.runtime.machine.machine_cache import Lease, MachineCache
from thinkport.runtime.machine.plugin_device import PluginDevice, open_session

WORTH_IT = 64 << 20  # bytes of an artifact; a smaller one loads fast and takes little memory
_CONTENT = "packed weights 1"
_SHARE = 2.3  # of the artifact, measured at 0.6B: ONNX Runtime keeps the weights both as they were and laid out
_INLINE = 1024  # bytes; shapes are worked out from smaller constants, which must lie in the graph itself
_GRAPH, _WEIGHTS = "graph.onnx", "graph.weights"
_PACKS = "CPUExecutionProvider"  # whose kernels lay weights out, and whose session can keep that

Provider = str | tuple[str, dict[str, str]]
"""A provider's name, or name and options."""

Options = Callable[[], Any]  # fresh session options


class _NotWrittenError(Exception):
    """ONNX Runtime failed while it loaded a graph and wrote its packed weights."""


@dataclass(frozen=True, kw_only=True)
class PackedWeights:
    """Where an artifact's packed weights are kept; `bytes` is the size of the artifact.

    `check_source` raises ArtifactError if the artifact's files are damaged: an entry serves every copy of the artifact.
    """

    cache: MachineCache
    artifact: str
    bytes: int
    check_source: Callable[[], object]
    worth_it: int = WORTH_IT


@dataclass(frozen=True)
class OpenGraph:
    """An ONNX Runtime session, and the cache entry that it is mapped from, if any: keep them together."""

    inner: Any
    lease: Lease | None = None


def open_graph(
    ort: ModuleType,
    path: Path,
    providers: list[Provider],
    options: Options,
    packed: PackedWeights | None,
    device: PluginDevice | None = None,
) -> OpenGraph:
    """Load a graph file over its packed weights; the first load keeps them.

    It goes to a plugin's `device` if there is one, otherwise to the `providers`.
    ONNX Runtime's exceptions come through as they are.

    Raises:
        ArtifactError: weights would be kept, and a file of the artifact is damaged.
    """

    def load(file: Path, settings: Any) -> Any:
        return open_session(ort, str(file), settings, providers, device)

    if packed is None or packed.bytes < packed.worth_it or providers[0] != _PACKS:
        return OpenGraph(load(path, options()))
    key = CacheKey(
        artifact=packed.artifact, graph=path.name, content=_CONTENT, onnxruntime=ort.__version__, cpu=cpu_features()
    )
    if lease := packed.cache.find(key):
        settings = options()
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # done before it was written
        try:
            return OpenGraph(load(lease.folder / _GRAPH, settings), lease)
        except Exception:  # ONNX Runtime's exceptions share no base below Exception
            lease.close()
            packed.cache.discard(key)
    return OpenGraph(_load_and_keep(load, path, options, packed, key))


def _load_and_keep(
    load: Callable[[Path, Any], Any], path: Path, options: Options, packed: PackedWeights, key: CacheKey
) -> Any:
    """One session both answers and writes the packed weights: the first load of 0.6B takes 0.8 s more and no more
    memory.
    """
    packed.check_source()
    session = failed = None

    def write(folder: Path) -> None:
        nonlocal session
        try:
            session = load(path, _keeping(options(), folder))
        except Exception as error:  # as above
            raise _NotWrittenError(str(error)) from error

    try:
        if lease := packed.cache.make(key, write, expected_bytes=int(packed.bytes * _SHARE)):
            lease.close()
    except _NotWrittenError as error:
        failed = error
    session = session or load(path, options())
    if failed:
        warnings.warn(f"ONNX Runtime could not keep packed weights: {failed}", CacheWarning, stacklevel=2)
    return session


def _keeping(settings: Any, folder: Path) -> Any:
    """Session options that also write the graph, as optimized, and its packed weights."""
    settings.optimized_model_filepath = str(folder / _GRAPH)
    for name, value in {
        "session.save_external_prepacked_constant_initializers": "1",
        "session.optimized_model_external_initializers_file_name": _WEIGHTS,
        "session.optimized_model_external_initializers_min_size_in_bytes": str(_INLINE),
    }.items():
        settings.add_session_config_entry(name, value)
    return settings

"""The prefill graph, which runs long prompts: loaded for the first of them, unloaded after it.

Its int8 weights are in no artifact: each machine derives them once and keeps them in its cache. The manifest says from
which length the graph pays. Must not know tokens or KV caches.
"""

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from thinkport.runtime.artifact.manifest import Prefill
from thinkport.runtime.errors import ArtifactError, CacheWarning
from thinkport.runtime.machine.cache_record import CacheKey
from thinkport.runtime.machine.derived_weights import write_derived
from thinkport.runtime.machine.freed_memory import give_back
from thinkport.runtime.machine.machine_cache import Lease, MachineCache

_CONTENT = "int8 weights 1"

Loaded = TypeVar("Loaded")
Load = Callable[[Path], Loaded]
"""Loads the prefill graph that lies in a folder with its weights; raises ArtifactError."""


@dataclass(frozen=True, kw_only=True)
class PrefillWeights:
    """Where derived weights come from and where they are kept: the artifact's folder and fingerprint, the machine's
    cache.

    `check_source` raises ArtifactError if the artifact's files are damaged: what is derived serves every copy of the
    artifact. `keep` leaves the graph loaded after its first prompt: later ones are faster, and its int8 weights stay in
    memory.
    """

    folder: Path
    artifact: str
    cache: MachineCache
    check_source: Callable[[], object]
    keep: bool = False


class PrefillGraph(Generic[Loaded]):
    """The second graph of a session, in use by any number of prompts at once.

    It runs prompts of `from_tokens` tokens and more. Deriving its weights costs more than a short prompt gains, so the
    first prompt of `derive_from_tokens` tokens derives them. Any failure is one warning, and prompts then run through
    the session's own graph.
    """

    def __init__(self, prefill: Prefill, weights: PrefillWeights, load: Load[Loaded], threads: int):
        self._prefill, self._weights, self._load, self._threads = prefill, weights, load, threads
        self._lock = Lock()  # held while the graph is loaded or unloaded
        self._loaded: Loaded | None = None
        self._lease: Lease | None = None
        self._users = 0
        self._failed = False

    @property
    def loaded(self) -> bool:
        """Whether the graph is loaded."""
        return self._loaded is not None

    @contextmanager
    def use(self, tokens: int) -> Iterator[Loaded | None]:
        """The loaded graph for a prompt of `tokens` tokens; None where it does not pay."""
        loaded = self._enter(tokens)
        try:
            yield loaded
        finally:
            if loaded is not None:
                del loaded
                self._leave()

    def _enter(self, tokens: int) -> Loaded | None:
        if tokens < self._prefill.from_tokens or self._failed:
            return None
        with self._lock:
            if self._loaded is None:
                self._open(derive=tokens >= self._prefill.derive_from_tokens)
            if self._loaded is not None:
                self._users += 1
            return self._loaded

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users or self._weights.keep:
                return
            self._loaded = None
            if self._lease:
                self._lease.close()
            self._lease = None
        give_back()

    def _open(self, *, derive: bool) -> None:
        lease = self._weights.cache.find(self._key)
        if lease is None and derive:
            lease = self._weights.cache.make(self._key, self._derive, expected_bytes=self._prefill.derivation.bytes)
        if lease is None:
            return
        try:
            self._loaded, self._lease = self._load(lease.folder), lease
        except ArtifactError as error:
            self._failed = True
            lease.close()
            warnings.warn(f"long prompts run through the slower graph: {error}", CacheWarning, stacklevel=2)

    @property
    def _key(self) -> CacheKey:
        """The entry's key. numpy lays int8 weights out, in the same way for every CPU and every ONNX Runtime."""
        file = self._prefill.graph.file
        return CacheKey(artifact=self._weights.artifact, graph=file, content=_CONTENT, onnxruntime="any", cpu="any")

    def _derive(self, folder: Path) -> None:
        self._weights.check_source()
        write_entry(self._prefill, self._weights.folder, folder, self._threads)


def write_entry(prefill: Prefill, artifact: Path, folder: Path, threads: int) -> None:
    """Put a prefill graph into `folder`, beside the one file that it reads, from where ONNX Runtime maps it.

    If `add_external_initializers` hands the weights over, ONNX Runtime 1.32 copies them (measured: 420 MB of private
    memory at 0.6B before it packs them). It maps them from a file beside the graph, and drops them once they are
    packed.

    Raises:
        OSError: a file can't be read or written.
    """
    shutil.copyfile(artifact / prefill.graph.file, folder / prefill.graph.file)
    write_derived(prefill.derivation, artifact, folder, threads)

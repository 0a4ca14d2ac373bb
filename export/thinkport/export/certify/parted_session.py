"""A graph too large to be loaded whole, as a session that loads it part by part.

What a part computes of a step follows from the parts before it and from the lane's steps before it. So all steps whose
ids are known go through one part before the next is loaded: the same products as in one session, in another order.
Memory: a part and those that are held, what parts hand on (a few rows of activations a token), and the KV caches.
"""

# ruff: noqa: D102 - what PartedSession and PartedLane do is said in LaneSource and Lane

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from thinkport.export.certify.graph_parts import GraphPart
from thinkport.export.reference.logits import Ids, Logits
from thinkport.export.trace import names
from thinkport.runtime.artifact.manifest import Graph, ModelShape, kv_bytes
from thinkport.runtime.engine.kv_buffers import CpuBuffers
from thinkport.runtime.engine.kv_cache import AppendedCache, InPlaceCache, KvCache, KvSize, KvSnapshot, layout_of
from thinkport.runtime.engine.session import KernelLibrary
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.machine.freed_memory import give_back
from thinkport.runtime.machine.threads import physical_cores
from thinkport.runtime.providers.golden_check import LaneStep

Values = dict[str, NDArray[Any]]  # by their names in the graph
LOADED = 1.5  # bytes of memory that a loaded graph takes a byte of weights: 1.4 measured in float32, all repacked
HELD = 1_500_000_000  # bytes of loaded parts that are worth holding between tokens
_FOLDER = "session.model_external_initializers_file_folder_path"
_ERRORS_ONLY = 3


class LoadedPart:
    """A part's session, `inner`, which is None once closed, so that other references keep no memory and no file."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def close(self) -> None:
        """Drop the session: ONNX Runtime frees memory and files with its object."""
        self.inner = None
        give_back()


class PartSessions:
    """Parts that are loaded when they are used.

    Their external data lies in `folder`. The first `room` bytes of parts stay loaded; the others are closed after use.
    `kernels` are what a native graph is made of.
    """

    def __init__(self, ort: ModuleType, folder: Path, room: int = 0, kernels: KernelLibrary | None = None) -> None:
        self._ort, self._folder, self._room, self._kernels = ort, folder, float(room), kernels
        self._kept: dict[int, LoadedPart] = {}

    @contextmanager
    def use(self, part: GraphPart, types: Mapping[str, np.dtype[Any]]) -> Iterator[LoadedPart]:
        """A part, loaded; `types` are those of the values that it takes from other parts.

        Raises:
            ArtifactError: ONNX Runtime refuses it.
        """
        kept = self._kept.get(id(part))
        if kept is not None:
            yield kept
            return
        _tell_types(part.model.graph, types)
        loaded = LoadedPart(self._load(part))
        try:
            yield loaded
        finally:
            if LOADED * part.weights <= self._room:
                self._room -= LOADED * part.weights
                self._kept[id(part)] = loaded
            else:
                loaded.close()

    def _load(self, part: GraphPart) -> Any:
        settings = self._ort.SessionOptions()
        settings.log_severity_level = _ERRORS_ONLY
        settings.intra_op_num_threads = physical_cores() or 0
        settings.enable_cpu_mem_arena = False  # what it hands out would outlive the part
        settings.add_session_config_entry(_FOLDER, str(self._folder))
        if self._kernels is not None:
            self._kernels.register(settings, physical_cores() or 1)
        proto = ir.to_proto(part.model).SerializeToString()
        try:
            return self._ort.InferenceSession(proto, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            raise ArtifactError(
                f"a part of the graph over {self._folder} can't be loaded by ONNX Runtime: {error}"
            ) from error


def _tell_types(graph: ir.Graph, types: Mapping[str, np.dtype[Any]]) -> None:
    """Set the types of inputs, which ONNX Runtime does not infer, unlike those of outputs."""
    for value in graph.inputs:
        told = types.get(value.name or "")
        if told is not None:
            value.dtype = ir.DataType.from_numpy(told)


@dataclass(eq=False, kw_only=True)
class _PartedStep:
    """A step of a lane over its first `start` tokens; `values` are what the parts so far leave for later ones."""

    lane: "PartedLane"
    ids: Ids
    start: int
    keep: int
    values: Values = field(default_factory=dict)

    @property
    def stop(self) -> int:
        return self.start + self.ids.size


class PartedSession:
    """A `LaneSource` over the parts of one graph on the CPU, whose lanes are of one sequence each."""

    ragged_batches = False
    exact_steps = False
    lost: str | None = None

    def __init__(
        self, ort: ModuleType, graph: Graph, model: ModelShape, parts: Sequence[GraphPart], sessions: PartSessions
    ) -> None:
        self.ort, self.graph, self.model = ort, graph, model
        self._parts, self._sessions = parts, sessions
        self.vocab_size, self.context_length = model.vocab_size, model.context_length
        self.prefill_chunk, self.several_tokens_over_past = graph.prefill_chunk, graph.several_tokens_over_past
        self.kv_layout = layout_of(graph.kv.dtype, model.layers, model.kv_heads, model.head_dim)
        self.kv_size = KvSize(token=kv_bytes(model, graph.kv), in_place=graph.kv.in_place, context=model.context_length)

    def open_lane(self, batch: int = 1) -> "PartedLane":
        assert batch == 1, "a lane over parts is of one sequence"
        return PartedLane(self)

    def run(self, steps: Iterable[LaneStep]) -> Iterator[Logits]:
        """Run steps with every part loaded once; see `golden_check.Run`.

        Raises:
            ArtifactError: a part can't be loaded or fails; the lanes are as before.
        """
        ahead: list[_PartedStep] = []
        ends: dict[PartedLane, int] = {}
        for lane, ids, keep in steps:
            assert isinstance(lane, PartedLane)
            ahead.append(_PartedStep(lane=lane, ids=ids, start=ends.get(lane, lane.length), keep=keep))
            ends[lane] = ahead[-1].stop
        for number, part in enumerate(self._parts):
            types = {name: value.dtype for step in ahead[:1] for name, value in step.values.items()}
            with self._sessions.use(part, types) as loaded:
                passes = {lane: _Pass(self, part, loaded, lane.kv.get(number), lane.length) for lane in ends}
                for step in ahead:
                    found = passes[step.lane].run(step)
                    if answers := [found[name] for name in names.ANSWERS if name in found]:
                        yield answers[0][0, -step.keep :]
                    step.values = {name: (found if name in found else step.values)[name] for name in part.later}
                if part.layers:
                    for lane in passes:
                        lane.kv[number] = passes[lane].cache.read(ends[lane])
                passes.clear()
        for lane, length in ends.items():
            lane.length = length


class _Pass:
    """One lane's way through one loaded part, over the KV cache of the part's layer."""

    def __init__(
        self, session: PartedSession, part: GraphPart, loaded: LoadedPart, past: KvSnapshot | None, length: int
    ) -> None:
        self._session, self._part, self._loaded = session, part, loaded
        self._binding = loaded.inner.io_binding()
        self._given = [name for name in part.outputs if names.kv_layer(name) is None]
        self._bind_given()  # before the KV cache binds its outputs: that is the order of `get_outputs`
        kind: type[KvCache] = InPlaceCache if session.graph.kv.in_place else AppendedCache
        model = session.model.model_copy(update={"layers": part.layers})
        self.cache = kind(CpuBuffers(session.ort), self._binding, model, session.graph.kv, 1)
        if past and length:
            self.cache.write(past.first(length))

    def run(self, step: _PartedStep) -> Values:
        """Run a step: what the part gives, by name.

        Raises:
            ArtifactError: the part fails.
        """
        self.cache.prepare(step.stop)
        self._bind_given()
        taken = [name for name in self._part.inputs if names.kv_layer(name) is None]
        inputs = {name: self._input(name, step) for name in taken}  # numpy's memory lives as long as these do
        for name, value in inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        try:
            self._loaded.inner.run_with_iobinding(self._binding)
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            raise ArtifactError(
                f"{self._session.graph.file} failed in a step of {step.ids.size} tokens over {step.start}: {error}"
            ) from error
        self.cache.advance(np.array([step.stop]))
        found = zip(self._given, self._binding.get_outputs(), strict=False)
        return {name: np.array(value.numpy()) for name, value in found}

    def _bind_given(self) -> None:
        for name in self._given:
            self._binding.bind_output(name, "cpu")

    def _input(self, name: str, step: _PartedStep) -> Any:
        known = {
            names.INPUT_IDS: step.ids,
            names.ATTENTION_MASK: np.ones((1, step.stop), np.int64),
            names.POSITION_IDS: np.arange(step.start, step.stop)[None],
            names.LOGITS_TO_KEEP: np.array([step.keep]),
        }
        array = step.values[name] if name in step.values else known[name].astype(np.int64)
        return self._session.ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


class PartedLane:
    """A lane over parts; `kv` is the KV cache of each part's layer by the part's number, and may be longer."""

    batch = 1

    def __init__(self, session: PartedSession) -> None:
        self._session, self.length = session, 0
        self.kv: dict[int, KvSnapshot] = {}

    def step(self, ids: Ids, lengths: Ids | None = None, keep: int = 1) -> Logits:
        (logits,) = self._session.run([LaneStep(self, ids, keep)])
        return logits[None]

    def trim(self, length: int) -> None:
        self.length = min(self.length, length)

    def expect(self, tokens: int) -> None:
        """Nothing: a part's cache is made for all steps of a run."""

    def read(self, length: int) -> KvSnapshot:
        return KvSnapshot(parts=tuple(part for kv in self.kv.values() for part in kv.first(length).parts))

    def write(self, snapshot: KvSnapshot) -> None:
        layers = range(len(snapshot.parts) // 2)
        self.kv = {layer + 1: KvSnapshot(parts=snapshot.parts[2 * layer : 2 * layer + 2]) for layer in layers}
        self.length = snapshot.length

"""A graph loaded in ONNX Runtime, and lanes over it: batches of token sequences, each with its KV cache.

Knows the graph's inputs and outputs. Must not know prompts, sampling or text.
"""

# ruff: noqa: D102 - what Session and OrtLane do is said in LaneSource and Lane

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from thinkport.runtime.artifact.manifest import Graph, ModelShape, kv_bytes, kv_width
from thinkport.runtime.engine.device_failures import DeviceFailure, failure_of
from thinkport.runtime.engine.kv_buffers import Buffers, CpuBuffers, DeviceBuffers
from thinkport.runtime.engine.kv_cache import AppendedCache, InPlaceCache, KvCache, KvSize, KvSnapshot, layout_of
from thinkport.runtime.engine.resize_graph import resize_graph
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.scheduler import ScheduledLane, Scheduler
from thinkport.runtime.engine.shared_steps import SharedSteps
from thinkport.runtime.errors import ArtifactError, ThinkportError, UnavailableError
from thinkport.runtime.machine.plugin_device import PluginDevice, Provider, open_session
from thinkport.runtime.machine.threads import physical_cores

Ids = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]

_ERRORS_ONLY = 3  # ONNX Runtime warns about the optional input `logits_to_keep` on every load

# Where only one thread may run a session: onnxruntime.ai/docs/execution-providers/DirectML-ExecutionProvider.html
_ONE_RUN_AT_A_TIME = ("DmlExecutionProvider",)


class Lane(Protocol):
    """A batch of sequences that grows by steps; one thread at a time."""

    batch: int

    @property
    def length(self) -> int:
        """Tokens in the KV cache, of the longest sequence."""

    def step(self, ids: Ids, lengths: Ids | None = None, keep: int = 1) -> Logits:
        """Run `ids` (batch, sequence) over the cache.

        `lengths` (batch,) counts each row's real tokens in a right-padded first step; None takes every column.
        Returns the logits of the last `keep` columns, (batch, keep, vocabulary), valid until the next step; of a graph
        that embeds, the hidden states, (batch, keep, dimensions).

        Raises:
            ArtifactError: the graph fails; the cache is as before.
            UnavailableError: the device has no room, where the cache is as before, or is lost; see `LaneSource.lost`.
        """

    def trim(self, length: int) -> None:
        """Forget every token from `length` on."""

    def expect(self, tokens: int) -> None:
        """Have room for so many more tokens from the next step on: a growth at each step would copy the same again."""

    def read(self, length: int) -> KvSnapshot:
        """A copy of the first `length` tokens of a lane of one sequence."""

    def write(self, snapshot: KvSnapshot) -> None:
        """Make a lane of one sequence hold the tokens of `snapshot` and no others.

        Raises:
            InputError: the snapshot is of another KV layout or longer than the context; the lane is as before.
        """


class RewritableLane(Lane, Protocol):
    """A lane that can exchange its last tokens, as those are where `KvSize.ends_are_rewritten`."""

    def read_end(self, start: int) -> KvSnapshot:
        """A copy of the tokens from `start` on, at least one."""

    def write_end(self, snapshot: KvSnapshot, start: int) -> None:
        """Have the tokens of a snapshot that `read_end` made behind the first `start`, and no others."""


class LaneSource(Protocol):
    """What the engine needs of a session; tests put a written fake here.

    vocab_size: ids are in [0, vocab_size). context_length: the most tokens that a sequence can have. prefill_chunk: how
    many tokens of a prompt one step takes. several_tokens_over_past: a step of several tokens may follow others.
    ragged_batches: the rows of a batch may differ in length. kv_layout: the layout of its lanes' KV snapshots, as
    `KvSnapshot.layout` has it. kv_size: what its lanes' KV caches take. exact_steps: a token's keys, values and logits
    are the same to the bit, however many tokens its step takes. lost: why no step runs any more, its device
    being gone; None while it is there.
    """

    vocab_size: int
    context_length: int
    prefill_chunk: int
    several_tokens_over_past: bool
    ragged_batches: bool
    kv_layout: str
    kv_size: KvSize
    exact_steps: bool
    lost: str | None

    def open_lane(self, batch: int = 1) -> Lane:
        """An empty lane."""


class KernelLibrary(Protocol):
    """thinkport's kernels, as a session takes them; see `Kernels`."""

    def register(self, settings: Any, threads: int) -> None:
        """Let a session of so many threads run native graphs; `settings` are its SessionOptions."""


class Session:
    """One graph of an artifact in ONNX Runtime; lanes over it may run in different threads.

    Idle threads spin for under 50 ms after a step (measured with 1.32) and then sleep, so spinning stays on:
    `session.force_spinning_stop` would end it after every token instead of every turn, and run options ignore it.
    """

    def __init__(
        self,
        ort: ModuleType,
        folder: Path,
        graph: Graph,
        model: ModelShape,
        threads: int | None = None,
        on_loading: Callable[[], None] = lambda: None,
        device_id: int | None = None,
        device: PluginDevice | None = None,
        kernels: KernelLibrary | None = None,
    ):
        """Load `graph`; `threads` defaults to the physical cores that the process may use.

        `on_loading` is called when nothing is left to do but ONNX Runtime's own loading.
        `device_id` is the number of a device of the graph's first provider, None for the first; see `on_device`.
        `device` is the plugin's device where a plugin brings that provider; the number is not looked at then.
        `kernels` are what a native graph is made of.

        Raises:
            ArtifactError: a file is damaged, ONNX Runtime refuses the graph, or could not start its first provider.
        """
        self.graph, self.model, self.ort = graph, model, ort
        self.folder, self.device_id, self.device = folder, device_id, device
        self.vocab_size, self.context_length = model.vocab_size, model.context_length
        self.prefill_chunk, self.several_tokens_over_past = graph.prefill_chunk, graph.several_tokens_over_past
        # Only in place does a row's next token overwrite its padding; appended, the padding would stay between.
        self.ragged_batches = graph.kv.in_place
        self.kv_layout = layout_of(graph.kv.dtype, model.layers, model.kv_heads, kv_width(model, graph.kv))
        self.exact_steps = kernels is not None  # thinkport's own sum in one order, whatever the shape
        self.lost: str | None = None

        def options() -> Any:
            settings = ort.SessionOptions()
            settings.log_severity_level = _ERRORS_ONLY
            settings.intra_op_num_threads = threads or physical_cores() or 0
            if kernels is not None:
                kernels.register(settings, threads or physical_cores() or 1)
            settings.enable_mem_pattern = graph.memory_pattern
            on_loading()
            return settings

        path = folder / graph.file
        try:
            self.inner = open_session(ort, str(path), options(), on_device(graph, device_id), device)
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            raise ArtifactError(f"{path} can't be loaded by ONNX Runtime: {error}") from error
        _check_started(graph, self.inner.get_providers())
        at_hand = _kv_at_hand(self.inner)
        self.kv_size = KvSize(
            token=kv_bytes(model, graph.kv), in_place=graph.kv.in_place, context=model.context_length, at_hand=at_hand
        )
        self.turn = _turn_of(graph, device)
        self.buffers: Buffers = CpuBuffers(ort)
        if not at_hand:
            self.buffers = _device_buffers(ort, graph, device_id, device, options(), self.turn)
        self.inputs = {value.name for value in self.inner.get_inputs()}
        answer = next(spec for spec in graph.outputs if not spec.name.startswith("present."))
        self.answer, width = answer.name, answer.shape[-1]  # logits, or hidden states
        self.width = width if isinstance(width, int) else model.vocab_size
        self.takes_keep = "logits_to_keep" in {value.name for value in self.inner.get_overridable_initializers()}
        self.share_steps(RowSettings())

    def share_steps(self, settings: RowSettings) -> None:
        """Have lanes of several threads share their steps as the settings say, before the first one is opened."""
        if not (self.kv_size.ends_are_rewritten and self.several_tokens_over_past):
            settings = replace(settings, max_rows=1)
        self.together = SharedSteps(self.model, self.graph.kv, settings.max_rows)  # it holds no session
        self.scheduler = Scheduler(self.together, settings)

    def open_lane(self, batch: int = 1) -> "OrtLane":
        return OrtLane(self, batch)

    @contextmanager
    def guarded(self, columns: int, past: int) -> Iterator[None]:
        """Around what runs on the device for `columns` tokens: its failures in words; a lost device stays lost.

        Raises:
            ArtifactError, UnavailableError: as `Lane.step` does.
        """
        if self.lost:
            raise UnavailableError(self.lost)
        try:
            yield
        except (ThinkportError, MemoryError):
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            raise self.failed(error, columns, past) from error

    def failed(self, error: Exception, columns: int, past: int) -> ThinkportError:
        """The error that a failed step of `columns` tokens over `past` is to the user."""
        failure = None if self.kv_size.at_hand else failure_of(str(error))
        provider = self.graph.providers[0]
        where = f"{self.graph.file} in a step of {columns} tokens over {past}"
        if failure is DeviceFailure.LOST:
            self.lost = (
                f"the device of {provider} was lost by {where}: {error}: its driver was reset or updated, or the card "
                "is gone; reload() the model, or restart the program, or load it with provider='cpu'"
            )
            return UnavailableError(self.lost)
        if failure is DeviceFailure.MEMORY:
            return UnavailableError(
                f"the device of {provider} has no memory left for {where}: {error}: end other programs or chats, "
                "begin a shorter conversation, set memory_limit, or load the model with provider='cpu'"
            )
        return ArtifactError(
            f"{self.graph.file} failed in a step of {columns} tokens over {past}: {error}: "
            "run another graph or provider, update the device's driver, or export the artifact again"
        )

    @property
    def widest_step(self) -> int | None:
        """The most tokens of a step that is right on this device; None where nothing is known against wider ones.

        Whoever found that out lowered `prefill_chunk`; some graphs are wide only where a device was proved right.
        """
        limited = self.graph.proven_chunk is not None or self.prefill_chunk < self.graph.prefill_chunk
        return self.prefill_chunk if limited else None

    def close(self) -> None:
        """Let go of the graph and its files, whose lanes must be gone; ONNX Runtime frees them with its own object.

        Once closed, closing again changes nothing.
        """
        self.together.close()
        with self.turn:
            self.inner = None
            self.buffers = CpuBuffers(self.ort)  # a device's hold a session there


def on_device(graph: Graph, device_id: int | None) -> list[Provider]:
    """The graph's providers, the first on the device of a number, or on the first device.

    A provider that takes no number gets none. Without one DirectML takes the adapter that the
    system prefers, while its buffers are made on adapter 0: two cards, and the first step ends in 887A0005 (measured).
    """
    first, *others = graph.providers
    return [(first, {"device_id": str(device_id or 0)}) if graph.has_devices else first, *others]


def _kv_at_hand(inner: Any) -> bool:
    """Whether a graph takes its KV cache in the CPU's memory: a provider may leave its nodes to the CPU."""
    infos = zip(inner.get_inputs(), inner.get_input_memory_infos(), strict=True)
    kind = next(str(info.name) for value, info in infos if value.name.startswith("past_key_values."))
    return kind.lower() == "cpu"


def _turn_of(graph: Graph, device: PluginDevice | None) -> AbstractContextManager[Any]:
    """What a thread holds while it uses the graph's device; it may take it again, and no other lock within it."""
    if device is not None:
        return device.turn
    return RLock() if graph.providers[0] in _ONE_RUN_AT_A_TIME else nullcontext()


def _device_buffers(
    ort: ModuleType,
    graph: Graph,
    device_id: int | None,
    device: PluginDevice | None,
    options: Any,
    turn: AbstractContextManager[Any],
) -> DeviceBuffers:
    try:
        resizing = open_session(ort, resize_graph(graph.kv.dtype), options, on_device(graph, device_id), device)
        memory = None if device is None else device.memory
        return DeviceBuffers(ort, resizing, turn, memory)
    except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
        raise ArtifactError(
            f"{graph.file} can't have its KV cache on device {device_id or 0} of {graph.providers[0]}: {error}: "
            "choose another device or provider"
        ) from error


def _check_started(graph: Graph, started: list[str]) -> None:
    """Refuse a session without the graph's first provider: where it can't start, ONNX Runtime goes on without it."""
    if graph.providers[0] not in started:
        raise ArtifactError(
            f"ONNX Runtime could not start {graph.providers[0]} for {graph.file}: there is no such device, or its "
            "driver or libraries are missing"
        )


class OrtLane(ScheduledLane):
    """A lane of a session. Id, mask and logits buffers are reused, so that a step binds three pointers and runs."""

    def __init__(self, session: Session, batch: int):
        super().__init__(session.scheduler)
        self.batch = batch
        self.session = session
        self._binding: Any = session.inner.io_binding()
        self._binding.bind_output(session.answer, "cpu")  # the first to be bound is the first of get_outputs()
        kind = InPlaceCache if session.graph.kv.in_place else AppendedCache
        self.cache: KvCache = kind(session.buffers, self._binding, session.model, session.graph.kv, batch)
        self._arrays: dict[str, npt.NDArray[Any]] = {}  # what the binding points to has to outlive the step
        self._keep = np.ones(1, np.int64)
        self._room = 0  # tokens
        self._logits_bound = False
        if session.takes_keep:
            self._keep_value = session.ort.OrtValue.ortvalue_from_numpy(self._keep)
            self._binding.bind_ortvalue_input("logits_to_keep", self._keep_value)

    @property
    def length(self) -> int:
        return self.cache.length

    @property
    def slotted(self) -> InPlaceCache:
        """The KV cache where it can be in a slot."""
        assert isinstance(self.cache, InPlaceCache)
        return self.cache

    @property
    def step_bytes(self) -> tuple[int, int]:
        """The bytes that the last step of one row of logits was given by the CPU, and gave back to it."""
        given = sum(array.nbytes for name, array in self._arrays.items() if name in self.session.inputs)
        return given, self._arrays["logits"].nbytes

    def trim(self, length: int) -> None:
        self._room = 0
        self.cache.trim(length)

    def read(self, length: int) -> KvSnapshot:
        with self._still, self._guarded(length):
            return self.cache.read(length)

    def write(self, snapshot: KvSnapshot) -> None:
        with self._still, self._guarded(snapshot.length):
            self.cache.write(snapshot)

    def read_end(self, start: int) -> KvSnapshot:
        with self._still:
            return self.slotted.read_end(start)

    def write_end(self, snapshot: KvSnapshot, start: int) -> None:
        self._room = 0
        with self._still:
            self.slotted.write_end(snapshot, start)

    def expect(self, tokens: int) -> None:
        self._room = min(self.length + tokens, self.session.context_length)

    @property
    def _still(self) -> AbstractContextManager[Any]:
        """What is held while others than a step use the buffers: steps of others may move them."""
        return self.session.together.slots.lock

    @property
    def widest_step(self) -> int | None:  # type: ignore[override]
        """See `Session`."""
        return self.session.widest_step

    def run(self, ids: Ids, lengths: Ids | None, keep: int) -> Logits:
        columns = ids.shape[1]
        widest = self.session.widest_step
        if widest is not None and columns > widest:
            raise ArtifactError(
                f"{self.session.graph.file} is right here in steps of at most {widest} tokens and would need one of "
                f"{columns} for {self.batch} sequences: run them one at a time, or on another provider"
            )
        past = self.cache.lengths
        after = past + (columns if lengths is None else lengths)
        total = self.cache.length + columns
        with self._guarded(columns):
            self.cache.prepare(max(total, self._room))
        self._room = 0
        with self._guarded(columns), self.session.turn:
            self._bind("input_ids", ids)
            self._bind("attention_mask", self._mask(after, total))
            if "position_ids" in self.session.inputs:
                self._bind("position_ids", past[:, None] + np.arange(columns))
            logits = self._bind_logits(columns, keep)
            self.session.inner.run_with_iobinding(self._binding)
            self.cache.advance(after)
            return (self._binding.get_outputs()[0].numpy() if logits is None else logits)[:, -keep:]

    def __del__(self) -> None:
        """Let go of the buffers on the device while no other thread uses it."""
        if hasattr(self, "cache"):
            with self.session.turn:
                del self._binding, self.cache

    def _guarded(self, columns: int) -> AbstractContextManager[None]:
        return self.session.guarded(columns, self.length)

    def _bind(self, name: str, values: Ids) -> None:
        array = np.ascontiguousarray(values, np.int64)
        self._arrays[name] = array
        self._binding.bind_input(name, "cpu", 0, np.int64, array.shape, array.ctypes.data)

    def _mask(self, lengths: Ids, total: int) -> Ids:
        """Ones up to each row's length, (batch, total); for one sequence a view of a buffer that grows by doubling."""
        if self.batch > 1:
            return (np.arange(total) < lengths[:, None]).astype(np.int64)
        ones = self._arrays.get("ones")
        if ones is None or ones.shape[1] < total:
            ones = self._arrays["ones"] = np.ones((1, 2 * total), np.int64)
        return ones[:, :total]

    def _bind_logits(self, columns: int, keep: int) -> Logits | None:
        """The buffer that the one row of a decode step goes to; None where ONNX Runtime makes one for more rows.

        Graphs of earlier exports declare one row, and a given buffer of any other shape would be refused.
        """
        rows = keep if self.session.takes_keep else columns
        self._keep[0] = keep
        if rows > 1:
            self._binding.bind_output(self.session.answer, "cpu")
            self._logits_bound = False
            return None
        shape = (self.batch, rows, self.session.width)
        logits = self._arrays.get("logits")
        if logits is None or logits.shape != shape:
            logits, self._logits_bound = np.empty(shape, np.float32), False
            self._arrays["logits"] = logits
        if not self._logits_bound:
            self._binding.bind_output(self.session.answer, "cpu", 0, np.float32, shape, logits.ctypes.data)
            self._logits_bound = True
        return logits

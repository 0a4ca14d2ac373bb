"""One step of a graph for the next token of several lanes, whose KV caches are slots side by side.

Knows a session's inputs and outputs. Must not know which lanes step together, or when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from thinkport.runtime.artifact.manifest import KvLayout, ModelShape, kv_width
from thinkport.runtime.engine.kv_slab import Slab, Slots

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from thinkport.runtime.engine.kv_cache import InPlaceCache
    from thinkport.runtime.engine.session import Logits, OrtLane, Session


class SharedSteps:
    """Runs single tokens of up to `rows` lanes of a session; for one thread at a time."""

    def __init__(self, model: ModelShape, kv: KvLayout, rows: int):
        """`kv` is the layout of the graph's KV caches."""
        self._bound, self._arrays = (0, 0, 0), dict[str, Any]()
        self._binding: Any = None
        self._buffers: list[tuple[Logits, WeakSet[OrtLane]]] = []  # logits, and the lanes that may still read them

        def slab(capacity: int) -> Slab:
            return Slab(2 * model.layers, (rows, model.kv_heads, capacity, kv_width(model, kv)), kv.dtype)

        self.slots = Slots(rows, model.context_length, slab)

    def close(self) -> None:
        """Let go of the session."""
        self._binding, self._bound = None, (0, 0, 0)

    def run(self, lanes: Sequence[OrtLane], tokens: Sequence[int]) -> list[Logits]:
        """The logits of each lane behind its token, (1, 1, vocabulary), valid until that lane's next step.

        Raises:
            ArtifactError: the graph fails; lanes whose step did not run are as before.
        """
        asked = {id(lane.cache): (lane, token) for lane, token in zip(lanes, tokens, strict=True)}
        for _, readers in self._buffers:
            readers -= set(lanes)  # each has drawn from its last ones
        found: dict[int, Logits] = {}
        for run in self.slots.gather([lane.slotted for lane in lanes]):
            rows = [asked[id(cache)] for cache in run]
            if len(run) == 1:
                lane, token = rows[0]
                found[id(lane.cache)] = lane.run(np.array([[token]]), None, 1)
                continue
            logits = self._run(run, [lane for lane, _ in rows], np.array([[token] for _, token in rows]))
            found |= {id(cache): logits[at : at + 1] for at, cache in enumerate(run)}
        return [found[id(lane.cache)] for lane in lanes]

    def _run(self, caches: list[InPlaceCache], lanes: list[OrtLane], ids: npt.NDArray[np.int64]) -> Logits:
        session, past = lanes[0].session, np.array([cache.length for cache in caches])
        total = int(past.max()) + 1
        with session.guarded(1, total - 1):
            self._bind_caches(session, caches)
            self._bind("input_ids", ids)
            self._bind("attention_mask", (np.arange(total) <= past[:, None]).astype(np.int64))
            if "position_ids" in session.inputs:
                self._bind("position_ids", past[:, None])
            logits = self._logits(lanes, session.width)
            self._binding.bind_output(session.answer, "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
            session.inner.run_with_iobinding(self._binding)
        for cache in caches:
            cache.advance(cache.lengths + 1)
        return logits

    def _bind_caches(self, session: Session, caches: list[InPlaceCache]) -> None:
        """Bind neighbours as one batch, unless they are what is bound."""
        slot = caches[0].slot
        assert slot is not None, "shared steps are over slots"
        bound = (slot.slab.number, slot.index, len(caches))
        if bound == self._bound:
            return
        self._binding, self._bound = session.inner.io_binding(), (0, 0, 0)
        if session.takes_keep:
            self._arrays["keep"] = session.ort.OrtValue.ortvalue_from_numpy(np.ones(1, np.int64))
            self._binding.bind_ortvalue_input("logits_to_keep", self._arrays["keep"])
        names = [f"{layer}.{part}" for layer in range(session.model.layers) for part in ("key", "value")]
        for name, part in zip(names, slot.slab.parts, strict=True):
            rows = part[slot.index : slot.index + len(caches)]
            place = ("cpu", 0, rows.dtype, rows.shape, rows.ctypes.data)
            self._binding.bind_input(f"past_key_values.{name}", *place)
            self._binding.bind_output(f"present.{name}", *place)
        self._bound = bound

    def _bind(self, name: str, values: npt.NDArray[np.int64]) -> None:
        self._arrays[name] = values  # what the binding points to has to outlive the step
        self._binding.bind_input(name, "cpu", 0, np.int64, values.shape, values.ctypes.data)

    def _logits(self, lanes: list[OrtLane], width: int) -> Logits:
        """A buffer of a row a lane that no lane reads any more."""
        for buffer, readers in self._buffers:
            if not readers and len(buffer) >= len(lanes):
                readers.update(lanes)
                return buffer[: len(lanes)]
        self._buffers = [one for one in self._buffers if one[1]]
        buffer = np.empty((len(lanes), 1, width), np.float32)
        self._buffers.append((buffer, WeakSet(lanes)))
        return buffer

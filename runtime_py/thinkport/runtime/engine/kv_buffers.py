"""Buffers of keys and values in the memory that a graph's first provider computes in: made, resized and read.

Knows OrtValues, all (batch, kv_heads, tokens, head_dim), and where they lie. Must not know what they hold.
"""

# ruff: noqa: D102 - what both kinds do is said in Buffers

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.resize_graph import KEPT, PADS, RESIZED, ROOM, ROOM_AT, VALUE
from thinkport.runtime.machine.huge_pages import HugeBlocks

Array = npt.NDArray[Any]
Shape = Sequence[int]


class Buffers(Protocol):
    """Makes, resizes and reads buffers of one kind of memory.

    `at_hand`: it is the CPU's, where numpy writes, and memory that is let go of is free at once. A device's allocator
    keeps it for later buffers of that size (measured: DirectML 1.24.4 and WebGPU 0.4.0). `turn` is what a thread holds
    while it uses the device, letting go of a buffer included.
    """

    at_hand: bool
    turn: AbstractContextManager[Any]

    def zeros(self, shape: Shape, dtype: npt.DTypeLike) -> Any:
        """A new buffer of zeros as an OrtValue."""

    def of(self, array: Array) -> Any:
        """A contiguous array of the CPU's memory as an OrtValue, which holds it; not copied where that is at hand."""

    def resized(self, value: Any, kept: int, tokens: int) -> Any:
        """A new buffer of so many tokens: the first `kept`, 1 or more, are those of `value`, the others zeros.

        `value` is a buffer, or an array in the CPU's memory, of which only those tokens go to the device.
        """

    def read(self, value: Any, tokens: int) -> Array:
        """A copy of a buffer's first tokens, 1 or more; nothing else of it goes to the CPU."""

    def bind_output(self, binding: Any, name: str) -> None:
        """Let ONNX Runtime make a buffer for an output, here."""


class CpuBuffers:
    """Buffers in the CPU's memory, which are numpy's arrays, in huge pages where the system gives them."""

    at_hand = True

    def __init__(self, ort: Any):
        self._ort, self._memory = ort, HugeBlocks()
        self.turn: AbstractContextManager[Any] = nullcontext()

    def zeros(self, shape: Shape, dtype: npt.DTypeLike) -> Any:
        return self.of(self._memory.zeros(shape, dtype))

    def of(self, array: Array) -> Any:
        return self._ort.OrtValue.ortvalue_from_numpy(array, "cpu", 0)

    def resized(self, value: Any, kept: int, tokens: int) -> Any:
        held = value if isinstance(value, np.ndarray) else value.numpy()
        larger = self._memory.zeros((*held.shape[:2], tokens, held.shape[3]), held.dtype)
        larger[:, :, :kept] = held[:, :, :kept]
        return self.of(larger)

    def read(self, value: Any, tokens: int) -> Array:
        return np.array(value.numpy()[:, :, :tokens], order="C")

    def bind_output(self, binding: Any, name: str) -> None:
        binding.bind_output(name, "cpu", 0)


class DeviceBuffers:
    """Buffers on a device, by a session there of `resize_graph`: their content stays on the device.

    It makes them for a provider's own device as well, since ONNX Runtime's `ortvalue_from_numpy` makes DirectML's on
    adapter 0 whatever number it is given, and `numpy()` and `update_inplace` raise for a buffer of another adapter
    (measured with 1.24.4) and for a plugin's. Which number the provider gives its memory is asked of the session:
    DirectML's is 0 on every adapter.
    """

    at_hand = False

    def __init__(self, ort: Any, resizing: Any, turn: AbstractContextManager[Any], memory: Any = None):
        """`resizing` is the session, `turn` can be taken again by the thread that holds it.

        `memory` is a plugin's device's: all sessions share its allocator. ONNX Runtime refuses WebGPU's buffers of one
        session in another.
        """
        self._ort, self._resizing, self.turn, self._memory = ort, resizing, turn, memory
        info = resizing.get_input_memory_infos()[0]
        self._kind, self._number = str(info.name).lower(), info.device_id

    def zeros(self, shape: Shape, dtype: npt.DTypeLike) -> Any:
        batch, heads, tokens, width = shape
        if not tokens:  # nothing to move, and nothing for an operator to compute
            return self.of(np.zeros(shape, dtype))
        return self.resized(np.zeros((batch, heads, 1, width), dtype), 1, tokens)

    def of(self, array: Array) -> Any:
        return self._ort.OrtValue.ortvalue_from_numpy(array)

    def resized(self, value: Any, kept: int, tokens: int) -> Any:
        if isinstance(value, np.ndarray):
            value = self.of(np.ascontiguousarray(value[:, :, :kept]))
        with self.turn:
            binding = self._binding(value, kept, tokens - kept)
            if self._memory is None:
                binding.bind_output(RESIZED, self._kind, self._number)
                return self._run(binding)
            batch, heads, _, width = value.shape()
            made = self._ort.OrtValue.ortvalue_from_shape_and_type(
                [batch, heads, tokens, width], value.element_type(), memory_info=self._memory
            )
            binding.bind_ortvalue_output(RESIZED, made)
            self._run(binding)
            return made

    def read(self, value: Any, tokens: int) -> Array:
        with self.turn:
            binding = self._binding(value, tokens, 0)
            binding.bind_output(RESIZED, "cpu")
            content: Array = self._run(binding).numpy()
            return content

    def bind_output(self, binding: Any, name: str) -> None:
        binding.bind_output(name, self._kind, self._number)

    def _binding(self, value: Any, kept: int, room: int) -> Any:
        """Inputs, which go to the device as they are bound."""
        pads = np.zeros(PADS, np.int64)
        pads[ROOM_AT] = room
        binding = self._resizing.io_binding()
        binding.bind_ortvalue_input(VALUE, value)
        binding.bind_cpu_input(KEPT, np.array([kept], np.int64))
        binding.bind_cpu_input(ROOM, pads)
        return binding

    def _run(self, binding: Any) -> Any:
        self._resizing.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding.get_outputs()[0]

"""Buffers in the memory that a graph's first provider computes in: made, filled, and copied back.

Knows OrtValues and where they lie. Must not know what they hold.
"""

# ruff: noqa: D102 - what the other kinds do is said in OrtBuffers

from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from thinkport.runtime.machine.one_node_model import one_node_model
from thinkport.runtime.machine.plugin_device import PluginDevice

Array = npt.NDArray[Any]


class OrtBuffers:
    """Makes and copies buffers of one device, which ONNX Runtime finds by its kind, in its own words, and its number.

    A buffer that is `at_hand` is memory of the CPU's that numpy can write to.
    """

    def __init__(self, ort: Any, kind: str, number: int = 0):
        self.at_hand = kind == "cpu"
        self._ort, self._kind, self._number = ort, kind, number

    def make(self, content: Array) -> Any:
        """A new buffer as an OrtValue; on the CPU it is the array itself."""
        return self._ort.OrtValue.ortvalue_from_numpy(content, self._kind, self._number)

    def read(self, value: Any) -> Array:
        """A buffer's content: the buffer itself where it is at hand, otherwise a copy."""
        content: Array = value.numpy()
        return content

    def fill(self, value: Any, content: Array) -> None:
        """Write all of a buffer, which stays where it is and bound; its shape and dtype are the content's."""
        value.update_inplace(content)

    def bind_output(self, binding: Any, name: str) -> None:
        """Let ONNX Runtime make a buffer for an output, here."""
        binding.bind_output(name, self._kind, self._number)


class PluginBuffers(OrtBuffers):
    """Buffers in a plugin's device, which ONNX Runtime finds by the memory that the plugin lists.

    Copies take the device's turn, as steps do; see `PluginDevice`.
    """

    def __init__(self, ort: Any, device: PluginDevice):
        self._device = device
        # What IO binding calls the memory is not its own name: `webgpu` where that is `WebGPU_Buf`.
        super().__init__(ort, self._empty((1,), "float32").device_name())

    def make(self, content: Array) -> Any:
        value = self._empty(content.shape, content.dtype)
        if content.size:
            self.fill(value, content)
        return value

    def read(self, value: Any) -> Array:
        with self._device.turn:
            return super().read(value)

    def fill(self, value: Any, content: Array) -> None:
        with self._device.turn:
            super().fill(value, content)

    def _empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        device = self._device
        with device.turn:
            return device.ort.OrtValue.ortvalue_from_shape_and_type(
                shape, np.dtype(dtype).type, memory_info=device.memory
            )


class SessionBuffers(OrtBuffers):
    """Buffers that a session of its own makes and copies, on the device that the session runs on.

    For a device other than the first: ONNX Runtime's `ortvalue_from_numpy` makes DirectML's buffers on adapter 0
    whatever number it is given, and `numpy()` and `update_inplace` raise for a buffer of another adapter (measured with
    1.24.4). A session there, whose graph is one Identity, does all three. Which number the provider gives its memory is
    asked of the session: DirectML's is 0 on every adapter.
    """

    def __init__(self, ort: Any, kind: str, providers: list[Any], options: Any, dtype: str):
        """`providers` name the device. ONNX Runtime's exceptions come through as they are."""
        super().__init__(ort, kind)
        self._copies = ort.InferenceSession(
            one_node_model("Identity", dtype, rank=4), options, providers=providers, enable_fallback=False
        )
        self._turn = Lock()  # of the lanes that share it; see `_ONE_RUN_AT_A_TIME`
        self._number = self._copies.get_input_memory_infos()[0].device_id

    def make(self, content: Array) -> Any:
        binding = self._from(self._ort.OrtValue.ortvalue_from_numpy(content))
        binding.bind_output("y", self._kind, self._number)
        return self._run(binding)

    def read(self, value: Any) -> Array:
        binding = self._from(value)
        binding.bind_output("y", "cpu")
        content: Array = self._run(binding).numpy()
        return content

    def fill(self, value: Any, content: Array) -> None:
        binding = self._from(self._ort.OrtValue.ortvalue_from_numpy(content))
        binding.bind_ortvalue_output("y", value)
        self._run(binding)

    def _from(self, value: Any) -> Any:
        binding = self._copies.io_binding()
        binding.bind_ortvalue_input("x", value)
        return binding

    def _run(self, binding: Any) -> Any:
        with self._turn:
            self._copies.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding.get_outputs()[0]

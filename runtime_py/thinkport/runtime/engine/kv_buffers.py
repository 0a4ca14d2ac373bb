"""Buffers in the memory that a graph's first provider computes in: made, filled, and copied back.

Knows OrtValues and where they lie. Must not know what they hold.
"""

# ruff: noqa: D102 - what SessionBuffers does is said in OrtBuffers

from threading import Lock
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

_ELEMENTS = {"float32": 1, "int8": 3, "float16": 10}  # TensorProto.DataType of ONNX
_OPSET = 17


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
        self._copies = ort.InferenceSession(identity_graph(dtype), options, providers=providers, enable_fallback=False)
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


def identity_graph(dtype: str) -> bytes:
    """An ONNX model whose output `y` is its input `x`, of four dimensions of any size.

    Written by hand, a few fields of onnx.proto, since the runtime has no onnx.
    """
    tensor = _number(1, _ELEMENTS[dtype]) + _field(2, _field(1, b"") * 4)
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Identity")
    values = [_field(at, _field(1, name) + _field(2, _field(1, tensor))) for at, name in ((11, b"x"), (12, b"y"))]
    graph = _field(1, node) + _field(2, b"copy") + b"".join(values)
    return _number(1, 8) + _field(7, graph) + _field(8, _number(2, _OPSET))


def _field(at: int, content: bytes) -> bytes:
    """A field of protobuf that has a length, which one byte holds here."""
    assert len(content) < 128
    return bytes([at << 3 | 2, len(content)]) + content


def _number(at: int, value: int) -> bytes:
    return bytes([at << 3, value])

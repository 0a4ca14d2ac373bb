"""ONNX models written by hand, a few fields of onnx.proto: the runtime has no onnx.

Fields and their numbers: github.com/onnx/onnx/blob/main/onnx/onnx.proto. Must not know what a model is for.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from numpy.typing import NDArray

INT64 = "int64"
ELEMENTS = {"float32": 1, "int8": 3, "int32": 6, INT64: 7, "float16": 10, "bfloat16": 16}  # TensorProto.DataType
MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators
_IR_VERSION, _OPSET = 8, 17  # which every ONNX Runtime that a manifest names loads
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protobuf
_INT = 2  # AttributeProto.AttributeType


def model(
    nodes: Iterable[bytes], inputs: Iterable[bytes], outputs: Iterable[bytes], constants: Iterable[bytes] = ()
) -> bytes:
    """A ModelProto of nodes in their order, with its inputs, outputs and constants."""
    graph = _all(1, nodes) + _field(2, b"graph") + _all(5, constants) + _all(11, inputs) + _all(12, outputs)
    own = _field(1, MICROSOFT.encode()) + _number(2, 1)
    return _number(1, _IR_VERSION) + _field(7, graph) + _field(8, _number(2, _OPSET)) + _field(8, own)


def node(
    operator: str, inputs: Iterable[str], *outputs: str, attributes: Iterable[bytes] = (), domain: str = ""
) -> bytes:
    """A NodeProto; `attributes` are AttributeProtos."""
    names = _all(1, (name.encode() for name in inputs)) + _all(2, (name.encode() for name in outputs))
    return names + _field(4, operator.encode()) + _all(5, attributes) + _field(7, domain.encode())


def integer(name: str, number: int) -> bytes:
    """An AttributeProto of one number, 0 or more."""
    return _field(1, name.encode()) + _number(3, number) + _number(20, _INT)


def value(name: str, dtype: str, rank: int) -> bytes:
    """A ValueInfoProto, for an input or output whose dimensions may have any size."""
    tensor = _number(1, ELEMENTS[dtype]) + _field(2, _field(1, b"") * rank)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def constant(name: str, number: int) -> bytes:
    """A TensorProto of one number, 0 or more: int64 (1,)."""
    head = _number(1, 1) + _number(2, ELEMENTS[INT64])
    return head + _field(8, name.encode()) + _field(9, number.to_bytes(8, "little"))


def array(name: str, values: NDArray[Any]) -> bytes:
    """A TensorProto of an array."""
    dims = b"".join(_number(1, size) for size in values.shape)
    raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return dims + _number(2, ELEMENTS[values.dtype.name]) + _field(8, name.encode()) + _field(9, raw)


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field of a message that has a length; the others are numbers and left out.

    Raises:
        ValueError, IndexError: it is no message of protobuf.
    """
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind, size = key & 7, 0
        if kind == _VARINT:
            _, at = _read_varint(message, at)
        elif kind == _BYTES:
            size, at = _read_varint(message, at)
            yield key >> 3, message[at : at + size]
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} is none of protobuf")
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    number = shift = 0
    while True:
        number |= (message[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 128:
            return number, at


def _all(at: int, contents: Iterable[bytes]) -> bytes:
    return b"".join(_field(at, content) for content in contents)


def _field(at: int, content: bytes) -> bytes:
    return _varint(at << 3 | _BYTES) + _varint(len(content)) + content


def _number(at: int, number: int) -> bytes:
    return _varint(at << 3 | _VARINT) + _varint(number)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    low = number & 127
    return bytes([low]) if number == low else bytes([low | 128]) + _varint(number >> 7)

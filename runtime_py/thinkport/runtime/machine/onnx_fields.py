"""ONNX models written by hand, a few fields of onnx.proto: the runtime has no onnx.

Fields and their numbers: github.com/onnx/onnx/blob/main/onnx/onnx.proto. Must not know what a model is for.
"""

from collections.abc import Iterable

INT64 = "int64"
_ELEMENTS = {"float32": 1, "int8": 3, INT64: 7, "float16": 10}  # TensorProto.DataType
_IR_VERSION, _OPSET = 8, 17  # which every ONNX Runtime that a manifest names loads
_VARINT, _BYTES = 0, 2  # wire types of protobuf


def model(
    nodes: Iterable[bytes], inputs: Iterable[bytes], outputs: Iterable[bytes], constants: Iterable[bytes] = ()
) -> bytes:
    """A ModelProto of nodes in their order, with its inputs, outputs and constants."""
    graph = _all(1, nodes) + _field(2, b"graph") + _all(5, constants) + _all(11, inputs) + _all(12, outputs)
    return _number(1, _IR_VERSION) + _field(7, graph) + _field(8, _number(2, _OPSET))


def node(operator: str, inputs: Iterable[str], output: str) -> bytes:
    """A NodeProto with one output."""
    return _all(1, (name.encode() for name in inputs)) + _field(2, output.encode()) + _field(4, operator.encode())


def value(name: str, dtype: str, rank: int) -> bytes:
    """A ValueInfoProto, for an input or output whose dimensions may have any size."""
    tensor = _number(1, _ELEMENTS[dtype]) + _field(2, _field(1, b"") * rank)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def constant(name: str, number: int) -> bytes:
    """A TensorProto of one number, 0 or more: int64 (1,)."""
    head = _number(1, 1) + _number(2, _ELEMENTS[INT64])
    return head + _field(8, name.encode()) + _field(9, number.to_bytes(8, "little"))


def _all(at: int, contents: Iterable[bytes]) -> bytes:
    return b"".join(_field(at, content) for content in contents)


def _field(at: int, content: bytes) -> bytes:
    return bytes([at << 3 | _BYTES]) + _varint(len(content)) + content


def _number(at: int, number: int) -> bytes:
    return bytes([at << 3 | _VARINT]) + _varint(number)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    low = number & 127
    return bytes([low]) if number == low else bytes([low | 128]) + _varint(number >> 7)

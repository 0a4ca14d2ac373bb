"""ONNX models of one node, written by hand: the runtime has no onnx."""

_ELEMENTS = {"float32": 1, "int8": 3, "float16": 10}  # TensorProto.DataType of ONNX
_OPSET = 17


def one_node_model(operator: str, dtype: str, *, rank: int) -> bytes:
    """An ONNX model whose output `y` is an operator's of its input `x`, both of `rank` dimensions of any size.

    A few fields of onnx.proto; ONNX Runtime loads it as it would a file.
    """
    tensor = _number(1, _ELEMENTS[dtype]) + _field(2, _field(1, b"") * rank)
    node = _field(1, b"x") + _field(2, b"y") + _field(4, operator.encode())
    values = [_field(at, _field(1, name) + _field(2, _field(1, tensor))) for at, name in ((11, b"x"), (12, b"y"))]
    graph = _field(1, node) + _field(2, b"one") + b"".join(values)
    return _number(1, 8) + _field(7, graph) + _field(8, _number(2, _OPSET))


def _field(at: int, content: bytes) -> bytes:
    """A field of protobuf that has a length, which one byte holds here."""
    assert len(content) < 128
    return bytes([at << 3 | 2, len(content)]) + content


def _number(at: int, value: int) -> bytes:
    return bytes([at << 3, value])

"""Reads what a check needs of an ONNX file: nodes, attributes, names and types. No weight is read, no package needed.

`verify`, `inspect` and `bundle` run in the base install, which has neither onnx nor onnx_ir, so this decodes the few
protobuf fields itself (onnx.proto of ONNX 1.23 gives the field numbers). The exporter checks the file that it wrote
with the same reader. External data is never opened; inline weights are skipped.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from thinkport.runtime.errors import ArtifactError

Attribute = int | float | str | None
# TensorProto.DataType, by number.
_DTYPES = (
    "undefined float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64 complex64 complex128 "
    "bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1"
)
DTYPES = tuple(_DTYPES.split())


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node; an input or output that is left out is "". A tensor attribute's value is its dtype."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    has_subgraph: bool

    def has_input(self, index: int) -> bool:
        """Whether that input is given."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def has_output(self, index: int) -> bool:
        """Whether that output is asked for."""
        return index < len(self.outputs) and self.outputs[index] != ""


@dataclass(frozen=True, kw_only=True)
class NodeGraph:
    """A graph without its weights: `dtypes` are those of inputs and initializers, `noted` those of `value_info`.

    `sizes` are the initializers' numbers of elements; `external` maps those that lie in other files to the file and
    their bytes there; `opsets` maps each domain to its version.
    """

    nodes: tuple[Node, ...]
    inputs: frozenset[str]
    dtypes: Mapping[str, str]
    noted: Mapping[str, str]
    sizes: Mapping[str, int]
    external: Mapping[str, tuple[str, int]]
    opsets: Mapping[str, int]


def read_graph(model: Path | bytes) -> NodeGraph:
    """The graph of an `.onnx` file, or of its bytes.

    Raises:
        ArtifactError: the file is missing or is no ONNX model.
    """
    try:
        return _graph(_Message(memoryview(model if isinstance(model, bytes) else model.read_bytes())))
    except (OSError, ValueError, LookupError, TypeError, struct.error) as error:
        found = "the bytes given" if isinstance(model, bytes) else str(model)
        raise ArtifactError(f"{found} can't be read as an ONNX graph ({error})") from error


class _Message:
    """The fields of a protobuf message by number: numbers of varints, the bytes of anything else.

    Raises:
        ValueError, LookupError, TypeError: the bytes are no message, or a field is of another kind than asked for.
    """

    def __init__(self, raw: int | memoryview):
        if isinstance(raw, int):
            raise ValueError("a number where a message was expected")
        self.fields: dict[int, list[int | memoryview]] = {}
        at = 0
        while at < len(raw):
            tag, at = _varint(raw, at)
            wire = tag & 7
            value: int | memoryview
            if wire == 0:
                value, at = _varint(raw, at)
            elif wire in (1, 2, 5):
                size, at = _varint(raw, at) if wire == 2 else (8 if wire == 1 else 4, at)
                value, at = raw[at : at + size], at + size
            else:
                raise ValueError(f"wire type {wire} at byte {at}")
            self.fields.setdefault(tag >> 3, []).append(value)
        if at > len(raw):
            raise ValueError("it ends in the middle of a field")

    def texts(self, field: int) -> tuple[str, ...]:
        return tuple(str(value, "utf-8") for value in self.fields.get(field, ()))  # type: ignore[arg-type]

    def text(self, field: int) -> str:
        return "".join(self.texts(field)[-1:])

    def domain(self, field: int) -> str:
        """An operator set's name; "ai.onnx" and none are the same."""
        name = self.text(field)
        return "" if name == "ai.onnx" else name

    def messages(self, field: int) -> "list[_Message]":
        return [_Message(value) for value in self.fields.get(field, ())]

    def numbers(self, field: int) -> Iterator[int]:
        """Repeated numbers, which come one by one or packed."""
        for value in self.fields.get(field, ()):
            at = 0
            while not isinstance(value, int) and at < len(value):
                number, at = _varint(value, at)
                yield number
            if isinstance(value, int):
                yield value

    def number(self, field: int) -> int:
        """A signed number, 0 where it is left out."""
        value = [0, *self.numbers(field)][-1]
        return value if value < 1 << 63 else value - (1 << 64)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _graph(model: _Message) -> NodeGraph:
    if 7 not in model.fields:
        raise ValueError("no graph inside")
    graph = model.messages(7)[-1]
    inputs, noted = (dict(_value_info(value) for value in graph.messages(field)) for field in (11, 13))
    tensors = [(tensor.text(8), tensor) for tensor in graph.messages(5)]
    return NodeGraph(
        nodes=tuple(_node(node) for node in graph.messages(1)),
        inputs=frozenset(inputs),
        dtypes={name: DTYPES[tensor.number(2)] for name, tensor in tensors} | inputs,
        noted=noted,
        sizes={name: prod(tensor.numbers(1)) for name, tensor in tensors},
        external={name: _external(tensor) for name, tensor in tensors if 13 in tensor.fields},
        opsets={opset.domain(1): opset.number(2) for opset in model.messages(8)},
    )


def _external(tensor: _Message) -> tuple[str, int]:
    found = {entry.text(1): entry.text(2) for entry in tensor.messages(13)}
    return found["location"], int(found["length"])


def _value_info(value: _Message) -> tuple[str, str]:
    types = [tensor.number(1) for kind in value.messages(2) for tensor in kind.messages(1)]
    return value.text(1), DTYPES[[0, *types][-1]]


def _node(node: _Message) -> Node:
    attributes = node.messages(5)
    return Node(
        name=node.text(3),
        op=node.text(4),
        domain=node.domain(7),
        inputs=node.texts(1),
        outputs=node.texts(2),
        attributes={attribute.text(1): _setting(attribute) for attribute in attributes},
        has_subgraph=any(attribute.fields.keys() & {6, 11} for attribute in attributes),
    )


def _setting(attribute: _Message) -> Attribute:
    if 2 in attribute.fields:
        return float(struct.unpack("<f", attribute.fields[2][-1])[0])  # type: ignore[arg-type]
    if 3 in attribute.fields:
        return attribute.number(3)
    if 4 in attribute.fields:
        return attribute.text(4)
    return next((DTYPES[tensor.number(2)] for tensor in attribute.messages(5)), None)

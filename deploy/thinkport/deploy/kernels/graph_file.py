"""Reads what a check needs of an ONNX file: nodes, attributes, names and types. No weight is read, no package needed.

The base install has no onnx, so this decodes the few protobuf fields itself (onnx.proto of ONNX 1.23 gives the field
numbers). External data is never opened; inline weights are stepped over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from struct import unpack

from thinkport.runtime.errors import ArtifactError

Attribute = int | float | str | None
# TensorProto.DataType, by number.
_DTYPES = (
    "undefined float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64 complex64 complex128 "
    "bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1"
)
DTYPES = tuple(_DTYPES.split())
_GRAPH, _GRAPHS = 5, 10  # AttributeProto.AttributeType


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

    `sizes` are the initializers' numbers of elements; `opsets` maps each domain to its version.
    """

    nodes: tuple[Node, ...]
    inputs: frozenset[str]
    dtypes: Mapping[str, str]
    noted: Mapping[str, str]
    sizes: Mapping[str, int]
    opsets: Mapping[str, int]


@dataclass
class _Parts:
    nodes: list[Node] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    initializers: dict[str, str] = field(default_factory=dict)
    noted: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


def read_graph(model: Path | bytes) -> NodeGraph:
    """The graph of an `.onnx` file, or of its bytes.

    Raises:
        ArtifactError: the file is missing or is no ONNX model.
    """
    try:
        raw = model if isinstance(model, bytes) else model.read_bytes()
        fields = list(_fields(memoryview(raw)))
        opsets = dict(_opset(value) for number, value in fields if number == 8)
        parts = _parts(next(value for number, value in fields if number == 7))
    except (OSError, ValueError, IndexError, TypeError, StopIteration) as error:
        found = "the bytes given" if isinstance(model, bytes) else str(model)
        raise ArtifactError(f"{found} can't be read as an ONNX graph ({error or 'no graph inside'})") from error
    return NodeGraph(
        nodes=tuple(parts.nodes),
        inputs=frozenset(parts.inputs),
        dtypes=parts.initializers | parts.inputs,
        noted=parts.noted,
        sizes=parts.sizes,
        opsets=opsets,
    )


Value = int | memoryview


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Each field of a protobuf message: a number for varints, the bytes of anything else."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(message):
            raise ValueError("it ends in the middle of a field")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return value


def _text(value: Value) -> str:
    return str(_bytes(value), "utf-8")


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("a message where a number was expected")
    return value if value < 1 << 63 else value - (1 << 64)


def _opset(value: Value) -> tuple[str, int]:
    fields = dict(_fields(_bytes(value)))
    domain = _text(fields[1]) if 1 in fields else ""
    return "" if domain == "ai.onnx" else domain, _number(fields.get(2, 0))


def _parts(graph: Value) -> _Parts:
    parts = _Parts()
    for number, value in _fields(_bytes(graph)):
        if number == 1:
            parts.nodes.append(_node(_bytes(value)))
        elif number == 5:
            name, dtype, size = _tensor(_bytes(value))
            parts.initializers[name], parts.sizes[name] = dtype, size
        elif number in (11, 13):
            name, dtype = _value_info(_bytes(value))
            (parts.inputs if number == 11 else parts.noted)[name] = dtype
    return parts


def _node(message: memoryview) -> Node:
    inputs, outputs, texts, attributes, subgraph = [], [], {3: "", 4: "", 7: ""}, {}, False
    for number, value in _fields(message):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number in texts:
            texts[number] = _text(value)
        elif number == 5:
            name, setting, kind = _attribute(_bytes(value))
            attributes[name] = setting
            subgraph |= kind in (_GRAPH, _GRAPHS)
    return Node(
        name=texts[3],
        op=texts[4],
        domain="" if texts[7] == "ai.onnx" else texts[7],
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        attributes=attributes,
        has_subgraph=subgraph,
    )


def _attribute(message: memoryview) -> tuple[str, Attribute, int]:
    fields = dict(_fields(message))
    setting: Attribute = None
    if 2 in fields:
        setting = float(unpack("<f", _bytes(fields[2]))[0])
    elif 3 in fields:
        setting = _number(fields[3])
    elif 4 in fields:
        setting = _text(fields[4])
    elif 5 in fields:
        setting = _tensor(_bytes(fields[5]))[1]
    return _text(fields[1]), setting, _number(fields.get(20, 0))


def _tensor(message: memoryview) -> tuple[str, str, int]:
    """(name, dtype, number of elements); dims come one by one or packed."""
    name, dtype, size = "", 0, 1
    for number, value in _fields(message):
        if number == 1:
            for dim in [value] if isinstance(value, int) else _packed(value):
                size *= dim
        elif number == 2:
            dtype = _number(value)
        elif number == 8:
            name = _text(value)
    return name, DTYPES[dtype], size


def _packed(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def _value_info(message: memoryview) -> tuple[str, str]:
    fields = dict(_fields(message))
    kind = dict(_fields(_bytes(fields[2]))) if 2 in fields else {}
    tensor = dict(_fields(_bytes(kind[1]))) if 1 in kind else {}
    return _text(fields[1]), DTYPES[_number(tensor.get(1, 0))]

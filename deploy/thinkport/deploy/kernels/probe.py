"""Finds a plugin provider's kernels by trying: a model of one node for each operator, version and dtype.

A plugin lists no kernels to Python. So a session is made that may not fall back to the CPU: it loads only if the
provider takes the node. The operators are those that graphs of this project are made of; of others this says nothing.
Run it by hand, with onnx, onnxruntime and the plugin's package, and give what it prints to `collect`:

    ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 python probe.py onnxruntime_ep_webgpu > rows.json
    python -m thinkport.deploy.kernels.collect probed rows.json webgpu 1.32.0 0.4.0 DEVICE

Knows operators and how ONNX Runtime is asked. Imports nothing of thinkport: it runs where the plugin alone does.
"""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Loads = Callable[[bytes], bool]
Kinds = Mapping[str, str]  # variable → dtype
Row = tuple[str, str, int, None, dict[str, list[str]]]

_FLOATS = "float float16 bfloat16 double"
_NUMBERS = f"{_FLOATS} int8 uint8 int32 uint32 int64 bool"
_COLUMNS = "int64 int32"
_MICROSOFT, _IR_VERSION, _BESIDE_CONTRIB = "com.microsoft", 11, 21
_TOKEN = re.compile(r"(\w+)(?:\(([\d,]*)\)|\[([\d,-]+)\])?")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How one operator's node is made.

    `signature` has inputs, `->` and outputs: a variable or dtype with its shape, `T(2,3)`, a constant of the graph by
    its values, `int64[1,2]`, or `_` for what is left out. `kinds` are the dtypes to try of each variable; the first
    that was taken stands while others are tried.
    """

    name: str
    versions: tuple[int, ...]
    signature: str
    kinds: Mapping[str, str] = field(default_factory=lambda: {"T": _NUMBERS})
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""


def _probe(
    name: str, versions: Sequence[int], signature: str, kinds: str | Mapping[str, str] = _NUMBERS, **given: Any
) -> Probe:
    found = {"T": kinds} if isinstance(kinds, str) else kinds
    return Probe(name=name, versions=tuple(versions), signature=signature, kinds=found, attributes=given)


def _contrib(name: str, signature: str, kinds: str | Mapping[str, str] = _FLOATS, **given: Any) -> Probe:
    found = {"T": kinds} if isinstance(kinds, str) else kinds
    return Probe(name=name, versions=(1,), signature=signature, kinds=found, attributes=given, domain=_MICROSOFT)


_X = "T(2,3,32)"
_SINCE_13, _SINCE_14 = (13, 21, 23, 24, 25), (14, 19, 21, 23, 24, 25)
_GATHERED, _EXPERTS = {"T": _NUMBERS, "Tind": _COLUMNS}, {"T": _FLOATS, "T1": "uint8", "T2": _FLOATS}

PROBES = (
    *(_probe(name, (14,), f"{_X} {_X} -> {_X}") for name in ("Add", "Sub", "Mul", "Div")),
    _probe("Pow", (15,), f"{_X} {_X} -> {_X}", _FLOATS),
    _probe("Max", (13,), f"{_X} {_X} -> {_X}"),
    *(_probe(name, (13,), f"{_X} -> {_X}", _FLOATS) for name in ("Sqrt", "Sigmoid", "Softmax", "Exp", "Reciprocal")),
    *(_probe(name, (13,), f"{_X} -> {_X}") for name in ("Neg", "Abs")),
    *(_probe(name, (7,), f"{_X} -> {_X}", _FLOATS) for name in ("Cos", "Sin")),
    _probe("MatMul", (13,), f"{_X} T(32,4) -> T(2,3,4)", _FLOATS),
    _probe("ReduceSum", (13,), f"{_X} int64[1] -> T(2,32)", keepdims=0),
    _probe("ReduceMean", (18,), f"{_X} int64[-1] -> T(2,3,1)"),
    _probe("ReduceMax", (18, 20), f"{_X} int64[-1] -> T(2,3,1)"),
    _probe("Cast", (13, 19, 21, 23, 24, 25), "T1(2,3) -> T2(2,3)", {"T1": _NUMBERS, "T2": _NUMBERS}),
    _probe("Shape", (15, 19, 21, 23, 24, 25), f"{_X} -> int64(3)"),
    _probe("Reshape", _SINCE_14, f"{_X} int64[6,32] -> T(6,32)"),
    _probe("Squeeze", _SINCE_13, "T(1,4) int64[0] -> T(4)"),
    _probe("Unsqueeze", _SINCE_13, "T(4) int64[0] -> T(1,4)"),
    _probe("Transpose", _SINCE_13, f"{_X} -> T(3,2,32)", perm=[1, 0, 2]),
    _probe("Expand", (13,), f"T(1,3,32) int64[2,3,32] -> {_X}"),
    _probe("Concat", (13,), f"{_X} {_X} -> T(4,3,32)", axis=0),
    _probe("Split", (13, 18), f"{_X} int64[1,2] -> T(2,1,32) T(2,2,32)", axis=1),
    _probe("Slice", (13,), f"{_X} Tind[1] Tind[3] Tind[1] -> T(2,2,32)", _GATHERED),
    _probe("Gather", (13,), "T(9,4) Tind(2,3) -> T(2,3,4)", _GATHERED),
    _probe("Where", (16,), f"bool(2,3,32) {_X} {_X} -> {_X}"),
    _probe("Range", (11, 27), "T() T() T() -> T(4)", "float double int32 int64"),
    *(_probe(name, (since,), f"{_X} {_X} -> bool(2,3,32)") for name, since in (("Greater", 13), ("LessOrEqual", 16))),
    _probe("Equal", (19,), f"{_X} {_X} -> bool(2,3,32)"),
    _probe("And", (7,), f"{_X} {_X} -> {_X}", "bool"),
    _probe("TopK", (11, 24), f"{_X} int64[4] -> T(2,3,4) int64(2,3,4)"),
    _probe("QuantizeLinear", _SINCE_13, "T1(2,4) T1() T3() -> T3(2,4)", {"T1": "float float16", "T3": "int8 uint8"}),
    _probe("DequantizeLinear", _SINCE_13, "T1(2,4) T2() T1() -> T2(2,4)", {"T1": "int8 uint8", "T2": "float float16"}),
    _probe("SimplifiedLayerNormalization", (1,), f"{_X} T(32) -> {_X}", _FLOATS),
    _contrib("SkipSimplifiedLayerNormalization", f"{_X} {_X} T(32) -> {_X} _ _ {_X}"),
    _contrib("QuickGelu", f"{_X} -> {_X}", alpha=1.0),
    _contrib("RotaryEmbedding", "T(1,2,64) int64(1,2) T(8,16) T(8,16) -> T(1,2,64)"),
    _contrib(
        "GatherBlockQuantized",
        "T1(9,64) Tind(2,3) T2(9,4) -> T2(2,3,128)",
        {"T1": "uint8", "T2": _FLOATS, "Tind": _COLUMNS},
        bits=4,
        block_size=32,
        quantize_axis=1,
        gather_axis=0,
    ),
    _contrib(
        "MatMulNBits",
        "T1(1,2,128) T2(64,4,16) T1(256) T3(128) _ T1(64) -> T1(1,2,64)",
        {"T1": _FLOATS, "T2": "uint8", "T3": "uint8 float float16"},
        K=128,
        N=64,
        bits=4,
        block_size=32,
    ),
    _contrib(
        "GroupQueryAttention",
        "T(1,2,32) T(1,2,32) T(1,2,32) T_CACHE(1,1,8,32) T_CACHE(1,1,8,32) M(1) M(1) T(8,16) T(8,16)"
        " -> T(1,2,32) T_CACHE(1,1,8,32) T_CACHE(1,1,8,32)",
        {"T": _FLOATS, "T_CACHE": "float float16 int8", "M": "int32"},
        num_heads=1,
        kv_num_heads=1,
        do_rotary=1,
    ),
    _contrib(
        "QMoE",
        "T(4,64) T(4,4) T1(4,128,32) T2(4,128,2) _ T1(4,64,32) T2(4,64,2) -> T(4,64)",
        _EXPERTS,
        k=2,
        activation_type="swiglu",
        expert_weight_bits=4,
        block_size=32,
        swiglu_fusion=1,
    ),
)


def rows(loads: Loads, probes: Sequence[Probe] = PROBES) -> Iterator[Row]:
    """The rows of a kernel list, as `collect` has them, of what was taken; `loads` says so of a model's bytes."""
    for probe in probes:
        for version in probe.versions:
            found: dict[str, list[str]] = {}
            for variable, kinds in probe.kinds.items():
                taken = [
                    kind for kind in kinds.split() if loads(model(probe, version, _kinds(probe, variable, kind, found)))
                ]
                found |= {variable: taken} if taken else {}
            if len(found) == len(probe.kinds):
                yield probe.domain, probe.name, version, None, {name: sorted(found[name]) for name in found}


def _kinds(probe: Probe, variable: str, kind: str, found: Mapping[str, list[str]]) -> Kinds:
    return {name: found.get(name, kinds.split())[0] for name, kinds in probe.kinds.items()} | {variable: kind}


def model(probe: Probe, version: int, kinds: Kinds) -> bytes:
    """A model of the operator's node alone."""
    onnx = importlib.import_module("onnx")
    helper = onnx.helper
    inputs, outputs = (part.split() for part in probe.signature.split("->"))
    given = [_Tensor(onnx, token, f"in{at}", kinds) for at, token in enumerate(inputs)]
    made = [_Tensor(onnx, token, f"out{at}", kinds) for at, token in enumerate(outputs)]
    attributes = dict(probe.attributes)
    if probe.name == "Cast":
        attributes["to"] = _number(onnx, kinds["T2"])
    node = helper.make_node(
        probe.name, [one.name for one in given], [one.name for one in made], domain=probe.domain, **attributes
    )
    opsets = {"": max(version, 13)} if probe.domain == "" else {"": _BESIDE_CONTRIB, probe.domain: version}
    graph = helper.make_graph(
        [node],
        "probe",
        [one.info for one in given if one.info is not None],
        [one.info for one in made if one.info is not None],
        [one.constant for one in given if one.constant is not None],
    )
    opset_imports = [helper.make_opsetid(*opset) for opset in opsets.items()]
    return bytes(helper.make_model(graph, opset_imports=opset_imports, ir_version=_IR_VERSION).SerializeToString())


class _Tensor:
    """An input or output of the node by its token of a signature; one that is left out has no name."""

    def __init__(self, onnx: Any, token: str, name: str, kinds: Kinds) -> None:
        found = _TOKEN.fullmatch(token)
        assert found is not None
        kind, shape, values = found.groups()
        self.name, self.info, self.constant = "" if kind == "_" else name, None, None
        if kind == "_":
            return
        number, helper = _number(onnx, kinds.get(kind, kind)), onnx.helper
        if values is None:
            self.info = helper.make_tensor_value_info(name, number, [int(size) for size in shape.split(",") if size])
        else:
            numbers = [int(value) for value in values.split(",")]
            self.constant = helper.make_tensor(name, number, [len(numbers)], numbers)


def _number(onnx: Any, kind: str) -> int:
    return int(onnx.TensorProto.DataType.Value(kind.upper()))


def loader(module: str) -> Loads:
    """What says whether the first device of a plugin takes a whole model."""
    ort, plugin = importlib.import_module("onnxruntime"), importlib.import_module(module)
    library = plugin.get_library_path()
    ort.register_execution_provider_library(module, library)
    device = next(one for one in ort.get_ep_devices() if one.ep_metadata.get("library_path") == library)

    def loads(serialized: bytes) -> bool:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.add_provider_for_devices([device], {})
        try:
            ort.InferenceSession(serialized, options)
        except Exception:  # every reason not to load is the answer
            return False
        return True

    return loads


if __name__ == "__main__":
    json.dump(list(rows(loader(sys.argv[1]))), sys.stdout)

"""Finds a plugin provider's kernels by trying: a model of one node for each operator, version and dtype.

A plugin lists no kernels to Python. So a session is made that may not fall back to the CPU: it loads only if the provider
takes the node. The operators are those that graphs of this project are made of; of others this says nothing. Run it
by hand, with onnx, onnxruntime and the plugin's package, and give what it prints to `collect`:

    ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 python probe.py onnxruntime_ep_webgpu > rows.json
    python -m thinkport.deploy.kernels.collect probed rows.json webgpu 1.32.0 "plugin 0.4.0, DEVICE"

Knows operators and how ONNX Runtime is asked. Imports nothing of thinkport: it runs where only the plugin does.
"""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NUMBERS = ("float", "float16", "bfloat16", "double", "int8", "uint8", "int32", "uint32", "int64", "bool")
_NEWEST = 25
_IR_VERSION = 11
_MICROSOFT = "com.microsoft"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output: `kind` is a variable (`T`) or a dtype; one with `values` is a constant of the graph."""

    kind: str
    shape: tuple[int, ...] = (2, 3, 32)
    values: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Operator:
    """How one operator's node is made; of each variable its first dtype stands while the others are tried."""

    name: str
    inputs: tuple[Tensor | None, ...] = (Tensor(kind="T"),)
    outputs: tuple[Tensor, ...] = (Tensor(kind="T"),)
    kinds: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"T": NUMBERS})
    versions: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""


def _integers(*values: int) -> Tensor:
    return Tensor(kind="int64", shape=(len(values),), values=values)


_X, _ONE_KIND = Tensor(kind="T"), {"versions": (1,), "domain": _MICROSOFT}
_TO_FLOATS = {"T": ("float", "float16", "bfloat16", "double")}
_NARROW = (13, 21, 23, 24, 25)
_SHAPES = (15, 19, 21, 23, 24, 25)
_BINARY: Mapping[str, Any] = {"inputs": (_X, _X)}
_PAST = Tensor(kind="T_CACHE", shape=(1, 1, 8, 32))
_TURNED = Tensor(kind="T", shape=(8, 16))
_PART = Tensor(kind="T", shape=(1, 2, 32))


def _bits(bits: int, group: int) -> tuple[Tensor, Tensor]:
    """The codes and scales of 64 rows of 128 weights."""
    groups = 128 // group
    codes = Tensor(kind="T2", shape=(64, groups, group * bits // 8))
    return codes, Tensor(kind="T1", shape=(64 * groups,))


OPERATORS = (
    *(Operator(name=name, versions=(14,), **_BINARY) for name in ("Add", "Sub", "Mul", "Div")),
    Operator(name="Pow", versions=(15,), inputs=(_X, _X), kinds=_TO_FLOATS),
    Operator(name="Max", versions=(13,), **_BINARY),
    *(Operator(name=name, versions=(13,), kinds=_TO_FLOATS) for name in ("Sqrt", "Sigmoid", "Softmax", "Exp", "Reciprocal")),
    *(Operator(name=name, versions=(13,)) for name in ("Neg", "Abs")),
    *(Operator(name=name, versions=(7,), kinds=_TO_FLOATS) for name in ("Cos", "Sin")),
    Operator(name="MatMul", versions=(13,), inputs=(_X, Tensor(kind="T", shape=(32, 4))), outputs=(Tensor(kind="T", shape=(2, 3, 4)),)),
    Operator(name="ReduceSum", versions=(13,), inputs=(_X, _integers(1)), attributes={"keepdims": 0}, outputs=(Tensor(kind="T", shape=(2, 32)),)),
    *(
        Operator(name=name, versions=versions, inputs=(_X, _integers(-1)), outputs=(Tensor(kind="T", shape=(2, 3, 1)),))
        for name, versions in (("ReduceMean", (18,)), ("ReduceMax", (18, 20)))
    ),
    Operator(name="Cast", versions=(13, 19, 21, 23, 24, 25), inputs=(Tensor(kind="T1"),), outputs=(Tensor(kind="T2"),), kinds={"T1": NUMBERS, "T2": NUMBERS}),
    Operator(name="Shape", versions=_SHAPES, outputs=(Tensor(kind="int64", shape=(3,)),)),
    Operator(name="Reshape", versions=(14, 19, 21, 23, 24, 25), inputs=(_X, _integers(6, 32)), outputs=(Tensor(kind="T", shape=(6, 32)),)),
    Operator(name="Squeeze", versions=_NARROW, inputs=(Tensor(kind="T", shape=(1, 4)), _integers(0)), outputs=(Tensor(kind="T", shape=(4,)),)),
    Operator(name="Unsqueeze", versions=_NARROW, inputs=(Tensor(kind="T", shape=(4,)), _integers(0)), outputs=(Tensor(kind="T", shape=(1, 4)),)),
    Operator(name="Transpose", versions=_NARROW, outputs=(Tensor(kind="T", shape=(3, 2, 32)),), attributes={"perm": [1, 0, 2]}),
    Operator(name="Expand", versions=(13,), inputs=(Tensor(kind="T", shape=(1, 3, 32)), _integers(2, 3, 32))),
    Operator(name="Concat", versions=(13,), inputs=(_X, _X), outputs=(Tensor(kind="T", shape=(4, 3, 32)),), attributes={"axis": 0}),
    Operator(name="Split", versions=(13, 18), inputs=(_X, _integers(1, 2)), outputs=(Tensor(kind="T", shape=(2, 1, 32)), Tensor(kind="T", shape=(2, 2, 32))), attributes={"axis": 1}),
    Operator(
        name="Slice",
        versions=(13,),
        inputs=(_X, *(Tensor(kind="Tind", shape=(1,), values=(value,)) for value in (1, 3, 1))),
        outputs=(Tensor(kind="T", shape=(2, 2, 32)),),
        kinds={"T": NUMBERS, "Tind": ("int64", "int32")},
    ),
    Operator(name="Gather", versions=(13,), inputs=(Tensor(kind="T", shape=(9, 4)), Tensor(kind="Tind", shape=(2, 3))), outputs=(Tensor(kind="T", shape=(2, 3, 4)),), kinds={"T": NUMBERS, "Tind": ("int64", "int32")}),
    Operator(name="Where", versions=(16,), inputs=(Tensor(kind="bool"), _X, _X)),
    Operator(name="Range", versions=(11, 27), inputs=(Tensor(kind="T", shape=()),) * 3, outputs=(Tensor(kind="T", shape=(4,)),)),
    *(
        Operator(name=name, versions=(since,), inputs=(_X, _X), outputs=(Tensor(kind="bool"),))
        for name, since in (("Greater", 13), ("LessOrEqual", 16), ("Equal", 19))
    ),
    Operator(name="And", versions=(7,), kinds={"T": ("bool",)}, **_BINARY),
    Operator(name="TopK", versions=(11, 24), inputs=(_X, _integers(4)), outputs=(Tensor(kind="T", shape=(2, 3, 4)), Tensor(kind="int64", shape=(2, 3, 4)))),
    Operator(name="TensorScatter", versions=(24,), inputs=(Tensor(kind="T", shape=(2, 8, 4)), Tensor(kind="T", shape=(2, 1, 4)), Tensor(kind="int64", shape=(2,))), outputs=(Tensor(kind="T", shape=(2, 8, 4)),), attributes={"axis": 1}),
    Operator(
        name="QuantizeLinear",
        versions=(13, 19, 21, 23, 24, 25),
        inputs=(Tensor(kind="T1"), Tensor(kind="T1", shape=()), Tensor(kind="T3", shape=())),
        outputs=(Tensor(kind="T3"),),
        kinds={"T1": ("float", "float16"), "T3": ("int8", "uint8")},
    ),
    Operator(
        name="DequantizeLinear",
        versions=(13, 19, 21, 23, 24, 25),
        inputs=(Tensor(kind="T1"), Tensor(kind="T2", shape=()), Tensor(kind="T1", shape=())),
        outputs=(Tensor(kind="T2"),),
        kinds={"T1": ("int8", "uint8", "int32"), "T2": ("float", "float16")},
    ),
    # "V" is the scale's and the output's variable in ONNX Runtime's schema, and "T" the input's; both at once.
    Operator(name="SimplifiedLayerNormalization", versions=(1,), inputs=(_X, Tensor(kind="T", shape=(32,))), kinds=_TO_FLOATS),
    Operator(name="SkipSimplifiedLayerNormalization", inputs=(_X, _X, Tensor(kind="T", shape=(32,))), outputs=(_X, Tensor(kind=""), Tensor(kind=""), _X), kinds=_TO_FLOATS, **_ONE_KIND),
    Operator(name="QuickGelu", kinds=_TO_FLOATS, attributes={"alpha": 1.0}, **_ONE_KIND),
    Operator(name="RotaryEmbedding", inputs=(Tensor(kind="T", shape=(1, 2, 64)), Tensor(kind="M", shape=(1, 2)), _TURNED, _TURNED), outputs=(Tensor(kind="T", shape=(1, 2, 64)),), kinds=_TO_FLOATS | {"M": ("int64",)}, **_ONE_KIND),
    Operator(
        name="GatherBlockQuantized",
        inputs=(Tensor(kind="T1", shape=(9, 64)), Tensor(kind="Tind", shape=(2, 3)), Tensor(kind="T2", shape=(9, 4))),
        outputs=(Tensor(kind="T2", shape=(2, 3, 128)),),
        kinds={"T1": ("uint8",), "T2": ("float", "float16", "bfloat16"), "Tind": ("int64", "int32")},
        attributes={"bits": 4, "block_size": 32, "quantize_axis": 1, "gather_axis": 0},
        **_ONE_KIND,
    ),
    Operator(
        name="MatMulNBits",
        inputs=(Tensor(kind="T1", shape=(1, 2, 128)), *_bits(4, 32), Tensor(kind="T3", shape=(128,)), None, Tensor(kind="T1", shape=(64,))),
        outputs=(Tensor(kind="T1", shape=(1, 2, 64)),),
        kinds={"T1": ("float", "float16", "bfloat16"), "T2": ("uint8",), "T3": ("uint8", "float", "float16")},
        attributes={"K": 128, "N": 64, "bits": 4, "block_size": 32},
        **_ONE_KIND,
    ),
    Operator(
        name="GroupQueryAttention",
        inputs=(_PART, _PART, _PART, _PAST, _PAST, Tensor(kind="M", shape=(1,)), Tensor(kind="M", shape=(1,)), _TURNED, _TURNED),
        outputs=(_PART, _PAST, _PAST),
        kinds={"T": ("float", "float16", "bfloat16"), "T_CACHE": ("float", "float16", "int8"), "M": ("int32",)},
        attributes={"num_heads": 1, "kv_num_heads": 1, "do_rotary": 1},
        **_ONE_KIND,
    ),
    Operator(
        name="QMoE",
        inputs=(
            Tensor(kind="T", shape=(4, 64)),
            Tensor(kind="T", shape=(4, 4)),
            Tensor(kind="T1", shape=(4, 128, 32)),
            Tensor(kind="T2", shape=(4, 128, 2)),
            None,
            Tensor(kind="T1", shape=(4, 64, 32)),
            Tensor(kind="T2", shape=(4, 64, 2)),
        ),
        outputs=(Tensor(kind="T", shape=(4, 64)),),
        kinds={"T": ("float", "float16", "bfloat16"), "T1": ("uint8",), "T2": ("float", "float16")},
        attributes={"k": 2, "activation_type": "swiglu", "expert_weight_bits": 4, "block_size": 32, "swiglu_fusion": 1},
        **_ONE_KIND,
    ),
)  # fmt: skip


def probed(operator: Operator, version: int, loads: Any) -> Mapping[str, list[str]]:
    """The dtypes of each variable with which the provider takes the operator's node.

    `loads` says of a serialized model whether it does.
    """
    found: dict[str, list[str]] = {}
    for variable, kinds in operator.kinds.items():
        for kind in kinds:
            base = _base(operator, variable, kind, found)
            if loads(model(operator, version, base)):
                found.setdefault(variable, []).append(base[variable])
    return found


def _base(operator: Operator, variable: str, kind: str, found: Mapping[str, list[str]]) -> dict[str, str]:
    """A dtype for each variable: `kind` for one, of the others one that was taken, or else the first."""
    return {name: found.get(name, list(kinds))[0] for name, kinds in operator.kinds.items()} | {variable: kind}


def model(operator: Operator, version: int, kinds: Mapping[str, str]) -> bytes:
    """A model of the operator's node alone, whose inputs are the graph's."""
    onnx = importlib.import_module("onnx")
    helper, graph_inputs, constants, names = onnx.helper, [], [], []
    for at, tensor in enumerate(operator.inputs):
        names.append("" if tensor is None else f"in{at}")
        if tensor is None:
            continue
        kind = _number(onnx, kinds.get(tensor.kind, tensor.kind))
        if tensor.values is None:
            graph_inputs.append(helper.make_tensor_value_info(names[-1], kind, tensor.shape))
        else:
            constants.append(helper.make_tensor(names[-1], kind, tensor.shape, tensor.values))
    given = [(f"out{at}" if tensor.kind else "", tensor) for at, tensor in enumerate(operator.outputs)]
    outputs = [
        helper.make_tensor_value_info(name, _number(onnx, kinds.get(tensor.kind, tensor.kind)), tensor.shape)
        for name, tensor in given
        if name
    ]
    attributes = dict(operator.attributes)
    if operator.name == "Cast":
        attributes["to"] = _number(onnx, kinds["T2"])
    node = helper.make_node(operator.name, names, [name for name, _ in given], domain=operator.domain, **attributes)
    opset = [helper.make_opsetid("", 21 if operator.domain else max(version, 13))]
    opset += [helper.make_opsetid(operator.domain, version)] if operator.domain else []
    graph = helper.make_graph([node], "probe", graph_inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    return bytes(made.SerializeToString())


def _number(onnx: Any, kind: str) -> int:
    return int(onnx.TensorProto.DataType.Value(kind.upper()))


def rows(loads: Any, operators: Sequence[Operator] = OPERATORS) -> Iterator[tuple[str, str, int, None, Any]]:
    """What `collect` writes: domain, operator, version, None, variable → dtypes, of what was taken."""
    for operator in operators:
        for version in operator.versions:
            found = probed(operator, version, loads)
            if len(found) == len(operator.kinds):
                yield operator.domain, operator.name, version, None, {name: sorted(found[name]) for name in found}


def _loader(module: str) -> Any:
    """A function that says whether the first device of a plugin takes a whole model."""
    ort, plugin = importlib.import_module("onnxruntime"), importlib.import_module(module)
    ort.register_execution_provider_library(module, plugin.get_library_path())
    device = next(
        one for one in ort.get_ep_devices() if one.ep_metadata.get("library_path") == plugin.get_library_path()
    )

    def loads(serialized: bytes) -> bool:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.add_provider_for_devices([device], {})
        try:
            ort.InferenceSession(serialized, options)
        except Exception as error:  # noqa: BLE001 - every reason not to load is the answer
            if "-v" in sys.argv:
                print(str(error)[:300], file=sys.stderr)
            return False
        return True

    return loads


if __name__ == "__main__":
    json.dump(list(rows(_loader(sys.argv[1]))), sys.stdout, indent=1)

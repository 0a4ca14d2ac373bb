"""What providers ask of a node beyond their kernel lists: the conditions, and the records with their sources.

Kernel lists hold operators, versions and dtypes; a provider's code checks or ignores more than that. File names are
ONNX Runtime's; `DML` ones lie in `core/providers/dml/DmlExecutionProvider/src/Operators`. "Measured" means on
onnxruntime-directml 1.24.4's own DirectML over a software Direct3D 12, against the CPU provider.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from packaging.version import Version

from thinkport.deploy.kernels.graph_file import Attribute, Node
from thinkport.deploy.targets import CPU, DIRECTML, WEBGPU

# leaves: ONNX Runtime gives the node to the CPU. fails: the graph does not load, or its first step ends in an error.
# wrong: it runs and computes something else.
Consequence = Literal["leaves", "fails", "wrong"]

# Takes a node and the dtypes of a graph's values; returns how the node breaks the condition, as the beginning of a
# sentence, or None if it keeps it.
Condition = Callable[[Node, Mapping[str, str]], str | None]

Place = tuple[int, str]  # of an input or output, with the schema's name


def given(*inputs: Place) -> Condition:
    """All of these inputs are there."""
    return lambda node, _: _listed("it has no", "input", [place for place in inputs if not node.has_input(place[0])])


def absent(*inputs: Place) -> Condition:
    """None of these inputs is there."""
    return lambda node, _: _listed("it has", "input", [place for place in inputs if node.has_input(place[0])])


def given_with(inputs: Sequence[Place], others: Sequence[Place]) -> Condition:
    """All of some inputs are there where one of others is."""

    def condition(node: Node, dtypes: Mapping[str, str]) -> str | None:
        needed = any(node.has_input(index) for index, _ in others)
        return given(*inputs)(node, dtypes) if needed else None

    return condition


def output_absent(*outputs: Place) -> Condition:
    """None of these outputs is asked for."""
    return lambda node, _: _listed("it gives", "output", [place for place in outputs if node.has_output(place[0])])


def one_of(attribute: str, *values: Attribute, default: Attribute) -> Condition:
    """An attribute has one of some values; `default` is its value where the node does not say."""

    def condition(node: Node, _: Mapping[str, str]) -> str | None:
        found = node.attributes.get(attribute, default)
        return None if found in values else f"{attribute} is {found}"

    return condition


def same(first: str, second: str, *, default: Attribute) -> Condition:
    """Two attributes have one value; `default` is that of one which the node leaves out."""

    def condition(node: Node, _: Mapping[str, str]) -> str | None:
        one, other = (node.attributes.get(name, default) for name in (first, second))
        return None if one == other else f"its {first} is {one} and its {second} {other}"

    return condition


def dtype_one_of(index: int, name: str, *allowed: str) -> Condition:
    """An input, where it is given, has one of some dtypes."""

    def condition(node: Node, dtypes: Mapping[str, str]) -> str | None:
        found = dtypes.get(node.inputs[index]) if node.has_input(index) else None
        return f"its {name} is {found}" if found and found not in allowed else None

    return condition


def divides(divisor: str, of: str) -> Condition:
    """One whole attribute divides another."""

    def condition(node: Node, _: Mapping[str, str]) -> str | None:
        part, whole = node.attributes.get(divisor), node.attributes.get(of)
        if isinstance(part, int) and isinstance(whole, int) and part > 0 and whole % part == 0:
            return None
        return f"{divisor} {part} does not divide {of} {whole}"

    return condition


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """What a target asks of one operator's nodes, and what comes of a node that breaks it: most often it fails.

    `because` ends the sentence that the condition begins, and says what to do; `source` is a file of ONNX
    Runtime's, an issue, or "measured" by this project. It holds for versions before `until`, where one is named.
    """

    target: str
    op: str
    domain: str = "com.microsoft"
    condition: Condition
    consequence: Consequence = "fails"
    because: str
    source: str
    until: str | None = None

    def concerns(self, target: str, version: str, node: Node) -> bool:
        """Whether it is asked of that node there."""
        newer = self.until is not None and Version(version) >= Version(self.until)
        return (self.target, self.domain, self.op) == (target, node.domain, node.op) and not newer


def _listed(verb: str, kind: str, places: Sequence[Place]) -> str | None:
    names = " and ".join(f"{name} ({kind} {index})" for index, name in places)
    return f"{verb} {names}" if names else None


_BLOCKS = (16, 32, 64, 128, 256)
_NORM_WEIGHTS = ((14, "q_norm_weight"), (15, "k_norm_weight"))
_UNNORMALIZED = absent(*_NORM_WEIGHTS)
_OWN_CACHE = dtype_one_of(3, "past_key", "float", "float16")

_DML_GQA = partial(
    Requirement,
    target=DIRECTML.name,
    op="GroupQueryAttention",
    source="DML DmlOperatorGroupQueryAttention.cpp; measured",
)
_DML_IGNORES = partial(
    _DML_GQA,
    consequence="wrong",
    because="DirectML computes as if it weren't there: this graph can't use the operator so",
)
_DML_UNQUANTIZED = partial(
    _DML_GQA, because="DirectML has no quantized KV cache: keep keys and values as they are computed"
)
_DML_NBITS = partial(Requirement, target=DIRECTML.name, op="MatMulNBits", source="DML DmlOperatorMatMulNBits.cpp")

_DIRECTML = (
    _DML_GQA(
        condition=given((1, "key"), (2, "value")),
        because="DirectML takes no packed QKV: split Q, K and V in front of attention",
    ),
    _DML_GQA(
        condition=one_of("do_rotary", 0, default=0),
        consequence="wrong",
        because="DirectML computes as if it were 0: rotate Q and K with RotaryEmbedding nodes",
    ),
    _DML_IGNORES(condition=one_of("softcap", 0.0, default=0.0)),
    _DML_IGNORES(condition=one_of("local_window_size", -1, default=-1)),
    _DML_IGNORES(condition=one_of("smooth_softmax", 0, -1, default=-1)),
    _DML_IGNORES(condition=absent((10, "attention_bias"), (11, "head_sink"))),
    _DML_UNQUANTIZED(condition=absent((12, "k_scale"), (13, "v_scale"))),
    _DML_UNQUANTIZED(condition=_OWN_CACHE),
    _DML_GQA(
        condition=_UNNORMALIZED,
        because="DirectML does not normalize Q and K inside: keep the norms as nodes in front of attention",
    ),
    _DML_NBITS(
        condition=one_of("bits", 4, 8, default=4), consequence="leaves", because="DirectML's kernel takes 4 or 8"
    ),
    _DML_NBITS(
        condition=divides("block_size", of="K"),
        consequence="leaves",
        because="DirectML's kernel takes whole blocks only: choose another group size",
    ),
    _DML_NBITS(
        condition=one_of("block_size", *_BLOCKS, default=None),
        because="the operator takes powers of two from 16, and DirectML was measured up to 256",
        source="docs/ContribOperators.md; measured",
    ),
    _DML_NBITS(
        condition=dtype_one_of(3, "zero_points", "uint8"),
        consequence="wrong",
        because="DirectML reads its bytes as packed integers: give packed uint8, or none for symmetric weights",
        source="DML DmlOperatorMatMulNBits.cpp; measured",
    ),
    _DML_NBITS(
        condition=absent((4, "g_idx")), because="DirectML's kernel refuses an order of groups: quantize without it"
    ),
    _DML_NBITS(condition=absent((5, "bias")), because="DirectML's kernel refuses one: add it behind the product"),
    Requirement(
        target=DIRECTML.name,
        op="SimplifiedLayerNormalization",
        domain="",
        condition=output_absent((1, "inv_std_var")),
        consequence="leaves",
        because="DirectML's kernel has one output",
        source="DML DmlOperatorLayerNormalization.cpp",
    ),
    Requirement(
        target=DIRECTML.name,
        op="SkipSimplifiedLayerNormalization",
        condition=output_absent((1, "mean"), (2, "inv_std_var")),
        consequence="leaves",
        because="DirectML's kernel gives the norm and the sum only",
        source="DML DmlOperatorSkipLayerNormalization.cpp",
    ),
)

_CPU_GQA = partial(Requirement, target=CPU.name, op="GroupQueryAttention")

_CPU = (
    _CPU_GQA(
        condition=_UNNORMALIZED,
        because="the CPU's kernel rejects it: keep the norms as nodes in front of attention",
        source="contrib_ops/cpu/bert/group_query_attention.cc",
    ),
    _CPU_GQA(
        condition=_OWN_CACHE,
        because="a quantized KV cache runs on the CPU since 1.27: ask for a newer ONNX Runtime or a float32 cache",
        source="measured: 1.24 refuses the graph, 1.25 and 1.26 fail in its first step",
        until="1.27",
    ),
    _CPU_GQA(
        condition=same("k_quant_type", "v_quant_type", default="NONE"),
        because="the CPU's kernel takes one form of scales in a node: give both a scale a channel",
        source="measured with 1.32: the graph loads, and its first step fails",
    ),
    Requirement(
        target=CPU.name,
        op="MatMulNBits",
        condition=one_of("block_size", *_BLOCKS, default=None),
        consequence="wrong",
        because="wider blocks silently gave zeros: choose a group size of 16 to 256",
        source="issue 28551 of microsoft/onnxruntime",
    ),
)

_WEBGPU_GQA = partial(Requirement, target=WEBGPU.name, op="GroupQueryAttention", source="measured")

_WEBGPU = (
    _WEBGPU_GQA(
        condition=given_with(((1, "key"), (2, "value")), _NORM_WEIGHTS),
        because="the plugin normalizes Q and K apart from one another only: leave the norms in front of attention",
    ),
    _WEBGPU_GQA(
        condition=_OWN_CACHE,
        because="the plugin loads an int8 cache and fails in the first step: keep keys and values as they are computed",
    ),
)

REQUIREMENTS: tuple[Requirement, ...] = (*_DIRECTML, *_CPU, *_WEBGPU)

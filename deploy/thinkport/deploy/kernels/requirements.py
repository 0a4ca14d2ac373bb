"""What providers ask beyond their kernel lists, operator by operator: the records, with their sources.

File names are ONNX Runtime's; `DML` ones lie in `core/providers/dml/DmlExecutionProvider/src/Operators`. "Measured"
means on onnxruntime-directml 1.24.4's own DirectML over a software Direct3D 12, against the CPU provider.
"""

from functools import partial

from thinkport.deploy.kernels.constraints import (
    Absent,
    Divides,
    DtypeOneOf,
    Given,
    OneOf,
    OutputAbsent,
    Requirement,
    Same,
)
from thinkport.deploy.targets import CPU, DIRECTML

_BLOCKS = (16, 32, 64, 128, 256)
_UNNORMALIZED = Absent(((14, "q_norm_weight"), (15, "k_norm_weight")))
_OWN_CACHE = DtypeOneOf(index=3, name="past_key", dtypes=("float", "float16"))

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
_DML_NBITS = partial(Requirement, target=DIRECTML.name, op="MatMulNBits", source="DML DmlOperatorMatMulNBits.cpp")

_DIRECTML = (
    _DML_GQA(
        condition=Given(((1, "key"), (2, "value"))),
        consequence="fails",
        because="DirectML takes no packed QKV: split Q, K and V in front of attention",
    ),
    _DML_GQA(
        condition=OneOf(attribute="do_rotary", values=(0,), default=0),
        consequence="wrong",
        because="DirectML computes as if it were 0: rotate Q and K with RotaryEmbedding nodes",
    ),
    _DML_IGNORES(condition=OneOf(attribute="softcap", values=(0.0,), default=0.0)),
    _DML_IGNORES(condition=OneOf(attribute="local_window_size", values=(-1,), default=-1)),
    _DML_IGNORES(condition=OneOf(attribute="smooth_softmax", values=(0, -1), default=-1)),
    _DML_IGNORES(condition=Absent(((10, "attention_bias"), (11, "head_sink")))),
    _DML_GQA(
        condition=Absent(((12, "k_scale"), (13, "v_scale"))),
        consequence="fails",
        because="DirectML has no quantized KV cache: keep keys and values as they are computed",
    ),
    _DML_GQA(
        condition=_UNNORMALIZED,
        consequence="fails",
        because="DirectML does not normalize Q and K inside: keep the norms as nodes in front of attention",
    ),
    _DML_GQA(
        condition=_OWN_CACHE,
        consequence="fails",
        because="DirectML has no quantized KV cache: keep keys and values as they are computed",
    ),
    _DML_NBITS(
        condition=OneOf(attribute="bits", values=(4, 8), default=4),
        consequence="leaves",
        because="DirectML's kernel takes 4 or 8",
    ),
    _DML_NBITS(
        condition=Divides(divisor="block_size", of="K"),
        consequence="leaves",
        because="DirectML's kernel takes whole blocks only: choose another group size",
    ),
    _DML_NBITS(
        condition=OneOf(attribute="block_size", values=_BLOCKS, default=None),
        consequence="fails",
        because="the operator takes powers of two from 16, and DirectML was measured up to 256",
        source="docs/ContribOperators.md; measured",
    ),
    _DML_NBITS(
        condition=DtypeOneOf(index=3, name="zero_points", dtypes=("uint8",)),
        consequence="wrong",
        because="DirectML reads its bytes as packed integers: give packed uint8, or none for symmetric weights",
        source="DML DmlOperatorMatMulNBits.cpp; measured",
    ),
    _DML_NBITS(
        condition=Absent(((4, "g_idx"),)),
        consequence="fails",
        because="DirectML's kernel refuses an order of groups: quantize without it",
    ),
    _DML_NBITS(
        condition=Absent(((5, "bias"),)),
        consequence="fails",
        because="DirectML's kernel refuses one: add it behind the product",
    ),
    Requirement(
        target=DIRECTML.name,
        op="SimplifiedLayerNormalization",
        domain="",
        condition=OutputAbsent(((1, "inv_std_var"),)),
        consequence="leaves",
        because="DirectML's kernel has one output",
        source="DML DmlOperatorLayerNormalization.cpp",
    ),
    Requirement(
        target=DIRECTML.name,
        op="SkipSimplifiedLayerNormalization",
        condition=OutputAbsent(((1, "mean"), (2, "inv_std_var"))),
        consequence="leaves",
        because="DirectML's kernel gives the norm and the sum only",
        source="DML DmlOperatorSkipLayerNormalization.cpp",
    ),
)

_CPU = (
    Requirement(
        target=CPU.name,
        op="GroupQueryAttention",
        condition=_UNNORMALIZED,
        consequence="fails",
        because="the CPU's kernel rejects it: keep the norms as nodes in front of attention",
        source="contrib_ops/cpu/bert/group_query_attention.cc",
    ),
    Requirement(
        target=CPU.name,
        op="GroupQueryAttention",
        condition=_OWN_CACHE,
        consequence="fails",
        because="a quantized KV cache runs on the CPU since 1.27: ask for a newer ONNX Runtime or a float32 cache",
        source="measured: 1.24 refuses the graph, 1.25 and 1.26 fail in its first step",
        until="1.27",
    ),
    Requirement(
        target=CPU.name,
        op="GroupQueryAttention",
        condition=Same(attributes=("k_quant_type", "v_quant_type"), default="NONE"),
        consequence="fails",
        because="the CPU's kernel takes one form of scales in a node: give both a scale a channel",
        source="measured with 1.32: the graph loads, and its first step fails",
    ),
    Requirement(
        target=CPU.name,
        op="MatMulNBits",
        condition=OneOf(attribute="block_size", values=_BLOCKS, default=None),
        consequence="wrong",
        because="wider blocks silently gave zeros: choose a group size of 16 to 256",
        source="issue 28551 of microsoft/onnxruntime",
    ),
)

REQUIREMENTS: tuple[Requirement, ...] = (*_DIRECTML, *_CPU)

"""What providers ask beyond their kernel lists, operator by operator: the records, with their sources.

File names are ONNX Runtime's; `DML` ones lie in `core/providers/dml/DmlExecutionProvider/src/Operators`. "Measured"
means on onnxruntime-directml 1.24.4's own DirectML over a software Direct3D 12, against the CPU provider.
"""

from functools import partial

from thinkport.deploy.kernels.constraints import (
    Requirement,
    absent,
    divides,
    dtype_one_of,
    given,
    one_of,
    output_absent,
    same,
)
from thinkport.deploy.targets import CPU, DIRECTML

_BLOCKS = (16, 32, 64, 128, 256)
_UNNORMALIZED = absent((14, "q_norm_weight"), (15, "k_norm_weight"))
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

REQUIREMENTS: tuple[Requirement, ...] = (*_DIRECTML, *_CPU)

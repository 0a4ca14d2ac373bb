"""What providers ask beyond their kernel lists, operator by operator: the records, with their sources.

File names are ONNX Runtime's; `DML` ones lie in `core/providers/dml/DmlExecutionProvider/src/Operators`. "Measured"
means on onnxruntime-directml 1.24.4's own DirectML over a software Direct3D 12, against the CPU provider.
"""

from functools import partial

from thinkport.deploy.kernels.constraints import Absent, Divides, DtypeOneOf, Given, OneOf, OutputAbsent, Requirement

_DML_GQA = partial(Requirement, target="dml", op="GroupQueryAttention")
_DML_NBITS = partial(Requirement, target="dml", op="MatMulNBits")
_CPU_GQA = partial(Requirement, target="cpu", op="GroupQueryAttention")
_GQA_FILE = "DML DmlOperatorGroupQueryAttention.cpp; measured"
_NBITS_FILE = "DML DmlOperatorMatMulNBits.cpp"
_IGNORES = "DirectML computes as if it weren't there"
_PLAIN_NORM = "keep the norm as nodes of their own in front of attention"
_BLOCKS = (16, 32, 64, 128, 256)

_DIRECTML = (
    *(
        _DML_GQA(
            condition=Given(index=index, name=name),
            consequence="fails",
            because="DirectML takes no packed QKV: split Q, K and V in front of attention",
            source=_GQA_FILE,
        )
        for index, name in ((1, "key"), (2, "value"))
    ),
    _DML_GQA(
        condition=OneOf(attribute="do_rotary", values=(0,), default=0),
        consequence="wrong",
        because=f"{_IGNORES}: rotate Q and K with RotaryEmbedding nodes",
        source=_GQA_FILE,
    ),
    _DML_GQA(
        condition=OneOf(attribute="softcap", values=(0, 0.0), default=0.0),
        consequence="wrong",
        because=f"{_IGNORES}: this model can't use the operator there",
        source=_GQA_FILE,
    ),
    _DML_GQA(
        condition=OneOf(attribute="local_window_size", values=(-1,), default=-1),
        consequence="wrong",
        because=f"{_IGNORES}: this model can't use the operator there",
        source=_GQA_FILE,
    ),
    _DML_GQA(
        condition=OneOf(attribute="smooth_softmax", values=(0, -1), default=-1),
        consequence="wrong",
        because=f"{_IGNORES}: this model can't use the operator there",
        source=_GQA_FILE,
    ),
    *(
        _DML_GQA(
            condition=Absent(index=index, name=name),
            consequence="wrong",
            because=f"{_IGNORES}: the operator reads Q, K, V, their past and seqlens_k there, nothing else",
            source=_GQA_FILE,
        )
        for index, name in ((10, "attention_bias"), (11, "head_sink"))
    ),
    *(
        _DML_GQA(
            condition=Absent(index=index, name=name),
            consequence="fails",
            because="DirectML has no quantized KV cache: keep keys and values as they are computed",
            source=_GQA_FILE,
        )
        for index, name in ((12, "k_scale"), (13, "v_scale"))
    ),
    *(
        _DML_GQA(
            condition=Absent(index=index, name=name),
            consequence="fails",
            because=f"DirectML does not normalize Q and K inside: {_PLAIN_NORM}",
            source=_GQA_FILE,
        )
        for index, name in ((14, "q_norm_weight"), (15, "k_norm_weight"))
    ),
    _DML_GQA(
        condition=DtypeOneOf(index=3, name="past_key", dtypes=("float", "float16")),
        consequence="fails",
        because="DirectML has no quantized KV cache: keep keys and values as they are computed",
        source=_GQA_FILE,
    ),
    _DML_NBITS(
        condition=OneOf(attribute="bits", values=(4, 8), default=4),
        consequence="leaves",
        because="DirectML's kernel takes 4 or 8",
        source=f"{_NBITS_FILE}, QueryMatMulNBits",
    ),
    _DML_NBITS(
        condition=Divides(divisor="block_size", of="K"),
        consequence="leaves",
        because="DirectML's kernel takes whole blocks only: choose another group size",
        source=f"{_NBITS_FILE}, QueryMatMulNBits",
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
        source=f"{_NBITS_FILE}; measured",
    ),
    _DML_NBITS(
        condition=Absent(index=4, name="g_idx"),
        consequence="fails",
        because="DirectML's kernel refuses an order of groups: quantize without it",
        source=_NBITS_FILE,
    ),
    _DML_NBITS(
        condition=Absent(index=5, name="bias"),
        consequence="fails",
        because="DirectML's kernel refuses one: add it behind the product",
        source=_NBITS_FILE,
    ),
    Requirement(
        target="dml",
        op="SimplifiedLayerNormalization",
        domain="",
        condition=OutputAbsent(index=1, name="inv_std_var"),
        consequence="leaves",
        because="DirectML's kernel has one output",
        source="DML DmlOperatorLayerNormalization.cpp, QueryLayerNormalization",
    ),
    *(
        Requirement(
            target="dml",
            op="SkipSimplifiedLayerNormalization",
            condition=OutputAbsent(index=index, name=name),
            consequence="leaves",
            because="DirectML's kernel gives the norm and the sum only",
            source="DML DmlOperatorSkipLayerNormalization.cpp, QuerySkipLayerNormalization",
        )
        for index, name in ((1, "mean"), (2, "inv_std_var"))
    ),
)

_CPU = (
    *(
        _CPU_GQA(
            condition=Absent(index=index, name=name),
            consequence="fails",
            because=f"the CPU kernel rejects it: {_PLAIN_NORM}",
            source="contrib_ops/cpu/bert/group_query_attention.cc",
        )
        for index, name in ((14, "q_norm_weight"), (15, "k_norm_weight"))
    ),
    _CPU_GQA(
        condition=DtypeOneOf(index=3, name="past_key", dtypes=("float", "float16")),
        consequence="fails",
        because="a quantized KV cache runs on the CPU since 1.27: ask for a newer ONNX Runtime or a float32 cache",
        source="measured: 1.24 refuses the graph, 1.25 and 1.26 fail in its first step",
        until="1.27",
    ),
    Requirement(
        target="cpu",
        op="MatMulNBits",
        condition=OneOf(attribute="block_size", values=_BLOCKS, default=None),
        consequence="wrong",
        because="wider blocks silently gave zeros: choose a group size of 16 to 256",
        source="issue 28551 of microsoft/onnxruntime",
    ),
)

REQUIREMENTS: tuple[Requirement, ...] = (*_DIRECTML, *_CPU)

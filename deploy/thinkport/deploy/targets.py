"""What each target's operators can do: one frozen entry a target, and the only place that knows a target by name.

Everyone else asks an entry for a capability. Knows nothing of models, passes or files. A fact's source stands beside
it; file names and numbers are ONNX Runtime's, "measured" means measured by this project.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal, TypeVar

from thinkport.runtime.errors import InputError

Entry = TypeVar("Entry")
Activations = Literal["float32", "float16", "bfloat16"]
KvDtype = Literal["float32", "float16", "int8"]


@dataclass(frozen=True, kw_only=True)
class KvForm:
    """A type of KV cache, and the oldest ONNX Runtime whose attention takes it."""

    dtype: KvDtype
    onnxruntime_floor: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target's capabilities.

    Attributes:
        name: what the command line and thinkport's extra that installs it call it.
        packages: the ONNX Runtime builds that hold its provider.
        genai_package: the build of onnxruntime-genai that does.
        genai_provider: what onnxruntime-genai calls its provider in a configuration; None for the CPU's.
        providers: ONNX Runtime's, in order of preference.
        opset_ceiling: the newest ONNX opset whose operators it has kernels for.
        activations: the types that it computes in, best first; another one where a model leaves the first one's range.
        activations_optional: whether some of its devices lack the first type and need a graph in the next.
        int64_on_cpu: whether nodes of int64 tensors, which only count tokens, run on the CPU beside it.
        memory_pattern: whether ONNX Runtime may plan memory by the shapes of earlier steps.
        graph_capture: whether it can replay a captured graph, all of whose nodes must run there.
        rotary_in_attention: whether GroupQueryAttention rotates Q and K. The next six speak of it too.
        packed_qkv: whether it takes Q, K and V as one tensor.
        qk_norm_in_attention: whether it normalizes the heads of Q and K.
        kv_in_place: whether past and present are one buffer, where the provider's memory is.
        kv: the caches that it takes, best first; an int8 one has a scale a channel, others are as the activations are.
        continuation_batch: the largest batch at which several tokens may follow a past; None where only one token may.
        native_kernels: whether thinkport's own kernels run there.
        prefill_chunk: the most tokens of a prompt for one step; None where the whole prompt has to be one.
        proven_chunk: the most worth asking of a device that is proved right with so many; None where `prefill_chunk`
            is right on every device.
        weight_bits: of MatMulNBits, as the next four.
        group_sizes: weights that may share a scale.
        accuracy_level: the attribute to ask for; None where it has no meaning.
        zero_points: whether weights may have them.
        matmul_bias: whether it adds one.
        experts_floor: the oldest ONNX Runtime whose MoE and QMoE run a mixture of experts there; None where none does.
        quantized_embedding: whether GatherBlockQuantized runs there, not on the CPU, and rightly.
        buffer_bytes: of a quantized table, the most that each of its devices takes as one tensor; None for no limit.
        fused_norms_unsafe: whether some device computes fused norms wrongly, so that a graph without them is needed.
        impossible: why no bundle can be made with it, by the platforms for which that is so.
    """

    name: str
    packages: tuple[str, ...]
    genai_package: str
    genai_provider: str | None
    providers: tuple[str, ...]
    opset_ceiling: int
    activations: tuple[Activations, ...]
    activations_optional: bool = False
    int64_on_cpu: bool = False
    memory_pattern: bool
    graph_capture: bool

    rotary_in_attention: bool
    packed_qkv: bool
    qk_norm_in_attention: bool
    kv_in_place: bool
    kv: tuple[KvForm, ...]
    continuation_batch: int | None
    prefill_chunk: int | None
    proven_chunk: int | None = None
    native_kernels: bool = False

    weight_bits: tuple[int, ...]
    group_sizes: tuple[int, ...]
    accuracy_level: int | None
    zero_points: bool
    matmul_bias: bool
    experts_floor: str | None = None
    quantized_embedding: bool
    buffer_bytes: int | None = None
    fused_norms_unsafe: bool
    impossible: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse an entry that contradicts itself."""
        if not self.providers:
            raise ValueError(f"target {self.name!r} has no provider")
        if not self.kv:
            raise ValueError(f"target {self.name!r} has no type for its KV cache")
        if "int8" not in self.kv_dtypes and not set(self.activations) <= set(self.kv_dtypes):
            raise ValueError(f"target {self.name!r} computes in a type for which it has no KV cache")
        if self.continuation_batch is not None and self.continuation_batch < 1:
            raise ValueError("continuation_batch is a batch size: use None where one token at a time is the limit")
        if self.continuation_batch is None and self.prefill_chunk is not None:
            raise ValueError("prefill in chunks puts several tokens over a past, which this target does not take")
        if self.proven_chunk is not None and self.proven_chunk <= (self.prefill_chunk or self.proven_chunk):
            raise ValueError("proven_chunk is larger than prefill_chunk, the largest that is right on every device")
        if self.activations_optional and len(self.activations) < 2:
            raise ValueError(f"target {self.name!r} has no type for devices that lack its first one")

    @property
    def accelerated(self) -> bool:
        """Whether its provider drives a device, with the CPU's to fall back to."""
        return len(self.providers) > 1

    @property
    def kv_dtypes(self) -> tuple[KvDtype, ...]:
        """The types that its KV cache may have, best first."""
        return tuple(form.dtype for form in self.kv)

    def kv_form(self, dtype: KvDtype) -> KvForm:
        """The cache of that type; it must be one of `kv_dtypes`."""
        return next(form for form in self.kv if form.dtype == dtype)

    def kv_beside(self, activations: Activations) -> KvForm:
        """The cache of what is computed in `activations`: of that type, or an int8 one where none is."""
        return next((form for form in self.kv if form.dtype == activations), None) or self.kv_form("int8")

    @property
    def several_tokens_over_past(self) -> bool:
        """Whether a conversation can go on with more than one token a step."""
        return self.continuation_batch is not None


CPU = Target(
    name="cpu",
    packages=("onnxruntime",),
    genai_package="onnxruntime-genai",
    genai_provider=None,
    providers=("CPUExecutionProvider",),
    opset_ceiling=28,  # measured: the newest that 1.32 loads without a word
    activations=("float32",),  # there is no half-precision Sigmoid on the CPU
    memory_pattern=True,
    graph_capture=False,
    rotary_in_attention=True,  # docs/contrib_ops/cpu/gqa.md
    packed_qkv=True,  # the same page
    qk_norm_in_attention=False,  # inputs 14 and 15 are rejected: split after the packed projection, normalize, attend
    kv_in_place=True,  # with two buffers each step clears present and copies the past into it
    # int8 came in 2026-05 (pull requests 28576 and 28578): 1.24 refuses it, 1.25 and 1.26 fail in the first step, 1.27
    # runs it; measured 1.9 times as fast as float32 at 4,096 tokens with AVX2, more with AVX-512. float16 runs too, but
    # each step widens the whole buffer: measured 4 to 9 times slower than float32 in one of 4,096 tokens.
    kv=(KvForm(dtype="int8", onnxruntime_floor="1.27"), KvForm(dtype="float32", onnxruntime_floor="1.24")),
    continuation_batch=1,  # the operator refuses a larger batch
    prefill_chunk=128,  # measured: chunks of 64 to 128 are 10 to 20 % faster than one call over 512 tokens
    native_kernels=True,
    weight_bits=(4, 8),
    group_sizes=(32, 64, 128, 256),  # 16 is slow
    accuracy_level=4,  # int8 dot products; without it decoding is 2 to 5 times slower
    zero_points=True,  # integer ones; float zero points turn packing off
    matmul_bias=True,
    # Measured against float64, both kernels, blocks of 32 to 128; `accuracy_level` and raw codes came with 1.31
    experts_floor="1.32",
    quantized_embedding=True,
    fused_norms_unsafe=False,
)

# "DML" files lie in core/providers/dml/DmlExecutionProvider/src. Measured: on onnxruntime-directml 1.24.4's own
# DirectML over a software Direct3D 12, against the CPU provider; what it accepts and computes, not how fast it is.
DIRECTML = Target(
    name="dml",
    packages=("onnxruntime-directml", "onnxruntime-windowsml"),  # the first stops at 1.24.4
    genai_package="onnxruntime-genai-winml",  # onnxruntime-genai-directml 0.14.1 needs a build that does not exist
    genai_provider="dml",
    providers=("DmlExecutionProvider", "CPUExecutionProvider"),  # no third one may be registered
    opset_ceiling=21,  # kernels match the exact since-version (core/framework/kernel_registry.cc); DML has none newer
    activations=("float16", "float32"),  # DML Operators/OperatorRegistration.cpp: bfloat16 nowhere
    memory_pattern=False,  # the provider refuses a session with it (its page on onnxruntime.ai)
    graph_capture=True,  # ep.dml.enable_graph_capture; DML ExecutionProvider.cpp
    rotary_in_attention=False,  # measured: do_rotary is ignored, bit-identical; so are softcap and windows
    packed_qkv=False,  # measured: refused, 80070057
    qk_norm_in_attention=False,  # DML Operators/DmlOperatorGroupQueryAttention.cpp reads Q, K, V, past and seqlens_k
    kv_in_place=True,  # measured: two buffers, or buffers of the CPU's memory, are silently wrong
    kv=(KvForm(dtype="float16", onnxruntime_floor="1.24"), KvForm(dtype="float32", onnxruntime_floor="1.24")),
    continuation_batch=None,  # measured: with several tokens it takes the past for empty
    prefill_chunk=None,
    weight_bits=(4, 8),  # measured; 2 bits are unsupported
    group_sizes=(32, 64, 128, 256),  # measured, 16 too
    accuracy_level=None,  # DML Operators/DmlOperatorMatMulNBits.cpp does not read it
    # Symmetric weights need none: left out means 2^(bits-1), measured bit-identical. float16 ones are silently wrong.
    zero_points=False,
    matmul_bias=False,  # measured: refused
    quantized_embedding=False,  # measured: goes to the CPU, which a captured graph may not
    fused_norms_unsafe=True,  # issue 29739: wrong logits on one device
    impossible={
        "linux-x86_64": "DirectML is a part of Windows: choose cpu, or cuda where there is such a device",
        **dict.fromkeys(("linux-aarch64", "macos-arm64"), "DirectML is a part of Windows: choose cpu"),
        "win-arm64": "onnxruntime-directml has no wheels for it: choose cpu",
    },
)

# Nothing here was measured: no such device was at hand. Read from ONNX Runtime's source (contrib_ops/cuda) and from the
# messages in onnxruntime-gpu 1.31.1's libraries.
CUDA = Target(
    name="cuda",
    packages=("onnxruntime-gpu",),
    genai_package="onnxruntime-genai-cuda",
    genai_provider="cuda",
    providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
    opset_ceiling=23,  # docs/OperatorKernels.md, CUDA: the newest that it lists kernels of
    activations=("float16", "bfloat16"),  # bert/group_query_attention.cc registers these two
    memory_pattern=True,
    graph_capture=True,  # enable_cuda_graph; shapes may be computed on the CPU (core/session/inference_session.cc)
    rotary_in_attention=True,
    packed_qkv=True,
    qk_norm_in_attention=True,  # inputs 14 and 15, of the activations' type; in 1.31.1's library, in 1.28's schema
    kv_in_place=True,
    # The same file registers int8 beside both types of activations. A bfloat16 cache is left out: numpy has no such
    # type, so that no program in Python could fill, trim or keep it.
    kv=(KvForm(dtype="float16", onnxruntime_floor="1.31"), KvForm(dtype="int8", onnxruntime_floor="1.31")),
    continuation_batch=1,  # contrib_ops/cpu/bert/group_query_attention_helper.h, which both share, refuses more
    prefill_chunk=2048,  # bounds what a long prompt takes beside the cache
    weight_bits=(4, 8),  # quantization/matmul_nbits.cc
    group_sizes=(32, 64, 128, 256),
    accuracy_level=None,  # read by CPU and WebGPU only
    zero_points=True,
    matmul_bias=True,
    # It runs there, but takes a zero point that is left out for 0, and the CPU for 2^(bits-1) (issue 31692, of 2026-08;
    # no release is told to have it mended). The plain operators also hold a tied table once.
    quantized_embedding=False,
    fused_norms_unsafe=False,
    impossible={
        **dict.fromkeys(("macos-arm64", "win-arm64"), "NVIDIA's CUDA isn't for this system: choose cpu"),
        "linux-aarch64": "onnxruntime-gpu has no wheels for it: choose cpu",
    },
)

# Measured: on onnxruntime-ep-webgpu 0.4.0 beside onnxruntime 1.32.0, over a software Vulkan device (lavapipe of Mesa
# 25), against the CPU provider and without falling back to it; what it accepts and computes, not how fast it is.
WEBGPU = Target(
    name="webgpu",
    packages=("onnxruntime-ep-webgpu",),  # beside the plain onnxruntime
    genai_package="onnxruntime-genai",
    genai_provider="WebGPU",
    providers=("WebGpuExecutionProvider", "CPUExecutionProvider"),
    opset_ceiling=24,  # measured: of 25 there is no Squeeze, Transpose or DequantizeLinear
    activations=("float16", "float32"),  # measured: bfloat16 nowhere
    activations_optional=True,  # float16 is a feature of the device (shader-f16): without it such a graph fails
    int64_on_cpu=True,  # measured: kernels take int64 as indices alone
    memory_pattern=True,
    graph_capture=False,  # every node must run there, and lengths are counted on the CPU
    rotary_in_attention=True,  # measured
    packed_qkv=True,  # measured, without norms of heads; with them the projection is split in front of attention
    # Measured: as inputs 14 and 15 it takes them beside Q, K and V apart, which a packed projection is not, and the CPU
    # provider, which certifies, takes them nowhere. ONNX Runtime itself moves norms in front of attention inside when
    # it loads (GroupQueryAttentionPreNormFusion). A decoding step of three layers is then 40 nodes there and 47
    # dispatches; with Q, K and V apart 43 and 50. (4-bit weights in groups of 32, which no recipe has, would be 29
    # with Q, K, V, gate and up apart: the plugin has kernels for a norm and such projections in one.)
    qk_norm_in_attention=False,
    kv_in_place=True,  # measured
    kv=(KvForm(dtype="float16", onnxruntime_floor="1.32"), KvForm(dtype="float32", onnxruntime_floor="1.32")),
    continuation_batch=1,  # measured: it refuses a larger batch
    # Measured: steps of 32 tokens and more take another attention kernel, which is silently wrong by 5 to 17 % of the
    # largest value on devices with few lanes in a subgroup (lavapipe 8, SwiftShader 4). Up to 31 all are right.
    prefill_chunk=31,
    proven_chunk=512,  # bounds what a long prompt takes beside the cache
    weight_bits=(4, 8),  # measured, 2 too
    group_sizes=(32, 64, 128, 256),  # measured, 16 too
    # Measured: with level 4 it rounds activations in blocks of 128, whatever the weights' groups. Products are then
    # 6e-3 from the CPU's at that level, against 1.5e-3 without it, and float32's 7e-3 against 5e-7: a device that is
    # wrong could not be told from one that is right by what the graph gives on the CPU.
    accuracy_level=None,
    zero_points=True,  # measured
    matmul_bias=True,  # measured
    quantized_embedding=True,  # measured
    buffer_bytes=128 << 20,  # https://www.w3.org/TR/webgpu/#limits: maxStorageBufferBindingSize's least
    fused_norms_unsafe=False,  # measured: they compute in float32
)

ENTRIES = {entry.name: entry for entry in (CPU, DIRECTML, CUDA, WEBGPU)}
TARGETS = MappingProxyType(ENTRIES)


def target(name: str) -> Target:
    """The entry of a target.

    Raises:
        InputError: no such target; the message lists the targets and the closest name.
    """
    return entry_named(name, TARGETS, kind="target")


def entry_named(name: str, table: Mapping[str, Entry], *, kind: str) -> Entry:
    """The entry of a name in a table of things of a `kind`.

    Raises:
        InputError: no such entry; the message lists the names and the closest one.
    """
    if name in table:
        return table[name]
    close = get_close_matches(name, table, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "choose one of these"
    raise InputError(f"unknown {kind} {name!r}, expected one of: {', '.join(table)}; {hint}")

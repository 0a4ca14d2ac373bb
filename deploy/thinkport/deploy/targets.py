"""What each target's operators can do: one frozen entry a target, and the only place that knows a target by name.

Everyone else asks an entry for a capability. Knows nothing of models, passes or files. A fact's source stands beside
it; file names and numbers are ONNX Runtime's, "measured" means measured by this project.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal

from thinkport.runtime.errors import InputError

Activations = Literal["float32", "float16", "bfloat16"]
KvDtype = Literal["float32", "float16", "bfloat16", "int8"]


@dataclass(frozen=True, kw_only=True)
class KvForm:
    """A type of KV cache, and the oldest ONNX Runtime whose attention takes it."""

    dtype: KvDtype
    onnxruntime_floor: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target's capabilities.

    `providers` are ONNX Runtime's, in order of preference; `extra` is thinkport's extra and `packages` the ONNX Runtime
    builds that hold them.

    The attention operator is GroupQueryAttention. `rotary_in_attention`, `packed_qkv` and `qk_norm_in_attention` say
    what it takes beside plain Q, K and V. `continuation_batch` is the largest batch at which several tokens may follow
    a past, None where only one token at a time may. `kv` are the caches that it may have, best first; an int8 one has
    a scale a channel.

    The matrix operator is MatMulNBits: its `weight_bits`, `group_sizes`, and the `accuracy_level` to ask for.
    """

    name: str
    extra: str
    packages: tuple[str, ...]
    providers: tuple[str, ...]
    opset_ceiling: int
    activations: tuple[Activations, ...]

    rotary_in_attention: bool
    packed_qkv: bool
    qk_norm_in_attention: bool
    kv_in_place: bool
    kv: tuple[KvForm, ...]
    continuation_batch: int | None
    prefill_chunk: int | None

    weight_bits: tuple[int, ...]
    group_sizes: tuple[int, ...]
    accuracy_level: int | None
    zero_points: bool
    matmul_bias: bool
    quantized_embedding: bool
    fused_norms: bool
    graph_capture: bool

    def __post_init__(self) -> None:
        """Refuse an entry that contradicts itself."""
        if not self.providers:
            raise ValueError(f"target {self.name!r} has no provider")
        if not self.kv:
            raise ValueError(f"target {self.name!r} has no type for its KV cache")
        if self.continuation_batch is not None and self.continuation_batch < 1:
            raise ValueError("continuation_batch is a batch size: use None where one token at a time is the limit")
        if self.continuation_batch is None and self.prefill_chunk is not None:
            raise ValueError("prefill in chunks puts several tokens over a past, which this target does not take")

    @property
    def kv_dtypes(self) -> tuple[KvDtype, ...]:
        """The types that its KV cache may have, best first."""
        return tuple(form.dtype for form in self.kv)

    def kv_form(self, dtype: KvDtype) -> KvForm:
        """The cache of that type; it must be one of `kv_dtypes`."""
        return next(form for form in self.kv if form.dtype == dtype)

    @property
    def several_tokens_over_past(self) -> bool:
        """Whether a conversation can go on with more than one token a step."""
        return self.continuation_batch is not None


CPU = Target(
    name="cpu",
    extra="cpu",
    packages=("onnxruntime",),
    providers=("CPUExecutionProvider",),
    opset_ceiling=28,  # measured: the newest that 1.32 loads without a word
    activations=("float32",),  # there is no half-precision Sigmoid on the CPU
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
    weight_bits=(4, 8),
    group_sizes=(32, 64, 128, 256),  # 16 is slow
    accuracy_level=4,  # int8 dot products; without it decoding is 2 to 5 times slower
    zero_points=True,  # integer ones; float zero points turn packing off
    matmul_bias=True,
    quantized_embedding=True,  # GatherBlockQuantized
    fused_norms=True,
    graph_capture=False,
)

TARGETS = MappingProxyType({entry.name: entry for entry in (CPU,)})


def target(name: str) -> Target:
    """The entry of a target.

    Raises:
        InputError: no such target; the message lists the targets and the closest name.
    """
    if name in TARGETS:
        return TARGETS[name]
    close = get_close_matches(name, TARGETS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "choose one of these"
    raise InputError(f"unknown target {name!r}, expected one of: {', '.join(TARGETS)}; {hint}")

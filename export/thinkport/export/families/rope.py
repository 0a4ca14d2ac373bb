"""Rotary frequencies and their cos and sin tables, as float32 numpy arrays.

No checkpoint holds them: they are a buffer that a model computes when it is made, so an export must rebuild it. Equal
to transformers' `modeling_rope_utils` for the kinds that `Rope` allows. Sources: RoFormer (arXiv 2104.09864), YaRN
(arXiv 2309.00071), Llama 3.1's scaling as published with its weights.
"""

import math

import numpy as np
from numpy.typing import NDArray

from thinkport.export.families.shape import DecoderShape, Rope

Floats = NDArray[np.float32]


def inv_freq_and_scaling(shape: DecoderShape) -> tuple[Floats, float]:
    """Angle a token of each pair of head channels, float32 (head_dim / 2,), and the factor on cos and sin."""
    rope = shape.rope
    exponents = np.arange(0, shape.head_dim, 2) / shape.head_dim
    # PyTorch's float32 power is correctly rounded nearly always, numpy's isn't: one unit in the last place of the
    # fastest frequencies is 2.4e-4 of an angle at position 4,096. So take the power in float64 and round once.
    periods = (rope.theta**exponents).astype(np.float32)
    frequencies = np.reciprocal(periods)
    if rope.kind == "linear":
        return np.asarray(frequencies / rope.factor, np.float32), 1.0
    if rope.kind == "llama3":
        return _llama3(frequencies, rope), 1.0
    if rope.kind == "yarn":
        return _yarn(periods, rope, shape.head_dim), _yarn_attention_factor(rope)
    return frequencies, 1.0


def cos_sin_tables(shape: DecoderShape, positions: int | None = None) -> tuple[Floats, Floats]:
    """Cosine and sine of every position, each float32 (positions, head_dim / 2), scaled; by default the whole context.

    The angle is a float32 product, as transformers computes it: a more exact one would differ at far positions.
    """
    frequencies, scaling = inv_freq_and_scaling(shape)
    angles = np.outer(np.arange(positions or shape.context_length, dtype=np.float32), frequencies)
    return np.cos(angles) * np.float32(scaling), np.sin(angles) * np.float32(scaling)


def _llama3(frequencies: Floats, rope: Rope) -> Floats:
    """Leave short waves alone, divide long ones by the factor, and blend between."""
    assert rope.original_context and rope.low_freq_factor and rope.high_freq_factor  # noqa: PT018
    waves = 2 * math.pi / frequencies
    blend = (rope.original_context / waves - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    kept = np.clip(blend, 0.0, 1.0)
    return np.asarray((1 - kept) * frequencies / rope.factor + kept * frequencies, np.float32)


def _yarn(periods: Floats, rope: Rope, head_dim: int) -> Floats:
    """Blend between kept and divided frequencies by the channel's rotations over the original context."""
    assert rope.original_context
    context = rope.original_context

    def channel(rotations: float) -> float:
        return head_dim * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = channel(rope.beta_fast), channel(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    if low == high:
        high += 0.001  # as transformers does, to divide by something
    kept = 1 - np.clip((np.arange(head_dim // 2, dtype=np.float32) - low) / (high - low), 0.0, 1.0)
    return np.asarray(1 / (rope.factor * periods) * (1 - kept) + 1 / periods * kept, np.float32)


def _yarn_attention_factor(rope: Rope) -> float:
    if rope.attention_factor is not None:
        return rope.attention_factor

    def magnitude(mscale: float) -> float:
        return 1.0 if rope.factor <= 1 else 0.1 * mscale * math.log(rope.factor) + 1.0

    if rope.mscale and rope.mscale_all_dim:
        return magnitude(rope.mscale) / magnitude(rope.mscale_all_dim)
    return magnitude(1.0)

"""Scales of an int8 KV cache: one a channel, or one a layer. Pure numpy.

Knows arrays; must not know where keys and values come from. Scales are fixed when a model is exported, for any text to
come (the operator knows no others). `deploy/docs/choosing-a-recipe.md` says what was tried and what each part brings.

A channel's range is the largest value seen, for values with some room: their largest channels belong to few kinds of
token, which a text may lack. What keys lose is mostly the step of a few large pairs of channels that turn slowly.

Values are kept less a center a channel, the values of a text's first token, in layers where these are small. There
later tokens rest on it with nearly all their weight, and it is nearly the same in all texts: its rounding error would
be in everything.

One scale a layer saves a multiplication for every number of the cache that a step reads (measured on AVX2 with 1.32:
12.9 to 14.8 tokens per second over 4,096 tokens). Keys lose little by it: their channels are made alike, which the
norms' weights take up, or the rows of the projections. Where values are nearly alike they share a scale as they are;
where they aren't, values get a scale a channel, and so do the layer's keys: the operator takes no mixture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEVELS = 127  # codes lie in -128..127, and the step is that of the positive side
KEY_ROOM, VALUE_ROOM = 1.0, 1.5  # on the largest value seen
_QUIETEST = 1 / 16  # of the head's median range; a channel that is small in a short text may be larger in another
_SMALLEST = 1e-12  # range of a channel of a dead head, whose scale must not be 0
MOST_DIVISOR = 32.0  # queries are multiplied by it, and float16 graphs hold them
ALIKE = 2.0  # times the median range, up to which the loudest channel of a layer's values sets the step of all


@dataclass(frozen=True, kw_only=True)
class ValueCenters:
    """What values are kept less, by layer, float32 (kv_heads, head_dim); and what o_proj makes of it, (hidden,)."""

    values: Sequence[Floats]
    outputs: Sequence[Floats]


@dataclass(frozen=True, kw_only=True)
class KvScales:
    """The value of one code of the cache, by layer: float32 (kv_heads, head_dim), or () where all channels share it.

    A layer's keys and values have one shape: GroupQueryAttention refuses `k_quant_type` and `v_quant_type` that differ.
    Without `centers`, values are kept as they are.
    """

    keys: Sequence[Floats]
    values: Sequence[Floats]
    centers: ValueCenters | None = None


def shared(scales: KvScales, *, by_head: bool) -> tuple[KvScales, Floats]:
    """Scales that a layer's channels share, and what keys have to be divided by for it, float32 (layers, kv_heads or 1,
    head_dim).

    Divided before rotary, which turns channels i and i + head_dim / 2 into one another, so both have one divisor, as
    `key_scales` has given them. Not `by_head`, all heads have the same: those that share their norm's weights. Values
    whose channels differ much keep a scale each, and their layer's keys then have their one scale once a channel.
    """
    channels = np.stack([layer if by_head else layer.max(0, keepdims=True) for layer in scales.keys])
    middle = np.exp(np.log(channels).mean((1, 2), keepdims=True, dtype=np.float64)).astype(np.float32)
    divisors = np.clip(channels / middle, 1 / MOST_DIVISOR, MOST_DIVISOR)
    steps = (channels / divisors).max((1, 2))
    values = [_shared_values(layer) for layer in scales.values]
    keys = [np.full_like(value, step) for step, value in zip(steps, values, strict=True)]
    return replace(scales, keys=keys, values=values), divisors


def _shared_values(scales: Floats) -> Floats:
    largest = scales.max()
    return np.asarray(largest) if largest <= ALIKE * np.median(scales) else scales


def key_scales(keys: Floats) -> Floats:
    """Scales (kv_heads, head_dim) of one layer's keys, float32 (tokens, kv_heads, head_dim), turned by rotary.

    Rotary turns channel i against channel i + head_dim / 2 by an angle that grows with the position (RoFormer,
    arXiv 2104.09864). The length of the pair is the same at every position, so that is the range of both: a text of a
    few hundred tokens speaks for positions that it does not reach.
    """
    first, second = np.split(keys, 2, axis=-1)
    lengths = np.hypot(first, second).max(0)
    return _scales(np.concatenate([lengths, lengths], axis=-1), KEY_ROOM)


def value_scales(values: Floats, center: Floats) -> Floats:
    """Scales (kv_heads, head_dim) of one layer's values, float32 (tokens, kv_heads, head_dim), less a center."""
    return _scales(np.abs(values - center).max(0), VALUE_ROOM)


def _scales(ranges: Floats, room: float) -> Floats:
    quiet = np.median(ranges, axis=-1, keepdims=True) * _QUIETEST
    return np.asarray(np.maximum(ranges, np.maximum(quiet, _SMALLEST)) * (room / LEVELS), np.float32)

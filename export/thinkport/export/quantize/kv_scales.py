"""Scales of an int8 KV cache, from keys and values that a model computed: one a channel, or one a layer. Pure numpy.

Knows arrays; must not know where keys and values come from. What rounding keys and values alone costs, as mean KL
divergence in nats over texts that the scales did not see (4-bit weights cost 0.02 and 0.07):

| range of a channel | trained model of 3M | made-up 0.6B |
|---|---|---|
| the largest seen | 0.0024 | 0.0013 |
| 1.25 times it | 0.00037 | 0.00026 |
| 1.5 times it | 0.00016 | 0.00019 |
| 1.5 times it for values, the most that the norm's weights allow for keys | 0.00043 | 0.00039 |

Percentiles and ranges of least squared error are worse than the largest value: a text this short has too few tokens
of large values.

One scale a layer saves a multiplication for every number of the cache that a step reads (measured on AVX2 with 1.32:
12.9 to 14.8 tokens per second over 4,096 tokens). Keys lose nothing by it: their channels are made alike, which the
norms' weights take up. Values have no norm; where their channels are nearly alike they share a scale as they are. Where
they aren't, values get a scale a channel, and so do the layer's keys: the operator takes no mixture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEVELS = 127  # codes lie in -128..127, and the step is that of the positive side
HEADROOM = 1.5  # on the largest value seen: what clips costs more than what a coarser step does
_QUIETEST = 1 / 16  # of the head's median range; a channel that is small in a short text may be larger in another
_SMALLEST = 1e-12  # range of a channel of a dead head, whose scale must not be 0
MOST_DIVISOR = 32.0  # queries are multiplied by it, and float16 graphs hold them
ALIKE = 4.0  # times the median range, up to which the loudest channel of a layer's values sets the step of all


@dataclass(frozen=True, kw_only=True)
class KvScales:
    """The value of one code of the cache, by layer: float32 (kv_heads, head_dim), or () where all channels share it.

    A layer's keys and values have one shape: GroupQueryAttention refuses `k_quant_type` and `v_quant_type` that differ.
    """

    keys: Sequence[Floats]
    values: Sequence[Floats]


def shared(scales: KvScales) -> tuple[KvScales, Floats]:
    """Scales that a layer's channels share, and what keys have to be divided by for it, float32 (layers, head_dim).

    Divided before rotary, which turns channels i and i + head_dim / 2 into one another, so both have one divisor, as
    `key_scales` has given them; and the same for all heads, which share their norm's weights. Values whose channels
    differ much keep a scale each, and their layer's keys then have their one scale once a channel.
    """
    channels = np.stack([layer.max(0) for layer in scales.keys])
    middle = np.exp(np.log(channels).mean(-1, keepdims=True, dtype=np.float64)).astype(np.float32)
    divisors = np.clip(channels / middle, 1 / MOST_DIVISOR, MOST_DIVISOR)
    steps = (channels / divisors).max(-1)
    values = [_shared_values(layer) for layer in scales.values]
    keys = [np.full_like(value, step) for step, value in zip(steps, values, strict=True)]
    return KvScales(keys=keys, values=values), divisors


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
    return _scales(np.concatenate([lengths, lengths], axis=-1))


def value_scales(values: Floats) -> Floats:
    """Scales (kv_heads, head_dim) of one layer's values, float32 (tokens, kv_heads, head_dim)."""
    return _scales(np.abs(values).max(0))


def _scales(ranges: Floats) -> Floats:
    quiet = np.median(ranges, axis=-1, keepdims=True) * _QUIETEST
    return np.asarray(np.maximum(ranges, np.maximum(quiet, _SMALLEST)) * (HEADROOM / LEVELS), np.float32)

"""Scales of an int8 KV cache: one a channel, from keys and values that a model computed. Pure numpy.

Knows arrays; must not know where keys and values come from. What rounding keys and values alone costs, as mean KL
divergence in nats over texts that the scales did not see (4-bit weights cost 0.02 and 0.07):

| range of a channel | trained model of 3M | made-up 0.6B |
|---|---|---|
| the largest seen | 0.0024 | 0.0013 |
| 1.25 times it | 0.00037 | 0.00026 |
| 1.5 times it | 0.00016 | 0.00019 |
| 1.5 times it for values, the most that the norm's weights allow for keys | 0.00043 | 0.00039 |

Percentiles and ranges of least squared error are worse than the largest: a text this short shows too few loud tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEVELS = 127  # codes lie in -128..127, and the step is that of the positive side
HEADROOM = 1.5  # on the largest value seen: what clips costs more than what a coarser step does
_QUIETEST = 1 / 16  # of the head's median range; a channel that was silent in a short text may speak in another
_SMALLEST = 1e-12  # range of a channel of a dead head: a scale of 0 would divide by 0


@dataclass(frozen=True, kw_only=True)
class KvScales:
    """What one step of the cache's codes is worth; `keys` and `values` are float32 (layers, kv_heads, head_dim)."""

    keys: Floats
    values: Floats


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

"""How well a mean over the positions of texts is known: bounds of 95 % confidence, by bootstrap over blocks.

Positions next to each other are alike, so what is drawn with replacement are blocks of consecutive ones (Künsch, 1989).
"""

from collections.abc import Sequence

import numpy as np

BLOCK = 16  # positions of one text
LEAST_BLOCKS = 6  # of fewer, a bootstrap says too little
_DRAWS = 4000
_TAILS = (0.025, 0.975)


def interval(texts: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """The bounds of the mean over all positions of `texts`; None of fewer than `LEAST_BLOCKS` blocks.

    The same values give the same bounds.
    """
    blocks = [block for text in texts for block in _blocks(text)]
    count = len(blocks)
    if count < LEAST_BLOCKS:
        return None
    sums, sizes = (np.array([of(block) for block in blocks], np.float64) for of in (sum, len))
    drawn = np.random.default_rng(0).integers(0, count, (_DRAWS, count))
    mean = sums.sum() / sizes.sum()
    apart = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1) - mean
    # Resampling n blocks has (n - 1) / n of the variance that n new ones would have.
    low, high = mean + np.quantile(apart, _TAILS) * np.sqrt(count / (count - 1))
    return max(float(low), 0.0), float(high)


def _blocks(text: Sequence[float]) -> list[Sequence[float]]:
    """Blocks of one text, of whose last the rest is a part."""
    starts = list(range(0, max(1, len(text) - BLOCK + 1), BLOCK))
    return [text[start:stop] for start, stop in zip(starts, [*starts[1:], len(text)], strict=True) if stop > start]

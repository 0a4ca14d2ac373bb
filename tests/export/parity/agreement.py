"""Whether two ways of computing the same logits say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN = 0.05  # by which the top token leads where it must be the same


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def check_same(found: NDArray[np.float32], wanted: NDArray[np.float32], *, bound: float) -> None:
    """The mean KL divergence is small, and the top token the same wherever it leads by a margin."""
    mine, other = log_softmax(found), log_softmax(wanted)
    divergence = (np.exp(other) * (other - mine)).sum(-1)
    print(f"KL mean {divergence.mean():.1e}, max {divergence.max():.1e}")
    assert divergence.mean() <= bound
    second, first = np.moveaxis(np.sort(wanted, -1)[..., -2:], -1, 0)
    clear = first - second > MARGIN
    assert (found.argmax(-1) == wanted.argmax(-1))[clear].all()

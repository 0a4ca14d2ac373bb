"""How far a graph's next-token distributions are from the checkpoint's: KL divergence, agreement, largest error.

Knows rows of logits, a few at a time; float64 throughout, one row at once.
"""

import numpy as np
from numpy.typing import NDArray

from thinkport.export.certify.reference import Logits
from thinkport.runtime.manifest import Figure


def log_probabilities(logits: Logits) -> NDArray[np.float64]:
    """The logarithms, in nats, of the softmax over one row (vocabulary,)."""
    shifted = logits.astype(np.float64) - float(logits.max())
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def kl_divergence(expected: Logits, found: Logits) -> float:
    """KL(expected || found) of two rows of logits, in nats."""
    log_p, log_q = log_probabilities(expected), log_probabilities(found)
    return max(0.0, float(np.exp(log_p) @ (log_p - log_q)))  # rounding may leave it a hair below zero


class Divergence:
    """Gathers what a graph's logits differ by, over as many tokens as are added."""

    def __init__(self) -> None:
        self._kl: list[float] = []
        self._agreed = 0
        self._largest_error = 0.0
        self._largest_logit = 0.0

    def add(self, expected: Logits, found: Logits) -> None:
        """Take the logits (tokens, vocabulary) of the checkpoint and of the graph."""
        for row, other in zip(expected, found, strict=True):
            self._kl.append(kl_divergence(row, other))
            self._agreed += int(row.argmax() == other.argmax())
            self._largest_error = max(self._largest_error, float(np.abs(row - other).max()))
            self._largest_logit = max(self._largest_logit, float(np.abs(row).max()))

    def figure(self, graph: str, changed: str | None = None) -> Figure:
        """The figures so far, of the graph file `graph` with these changes; at least one token must have been added."""
        tokens = len(self._kl)
        return Figure(
            graph=graph,
            tokens=tokens,
            kl_mean=float(np.mean(self._kl)),
            kl_p95=float(np.quantile(self._kl, 0.95)),
            top1_agreement=self._agreed / tokens,
            max_relative_error=self._largest_error / (self._largest_logit or 1.0),
            changed=changed,
        )

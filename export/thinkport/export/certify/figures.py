"""How far a graph's next-token distributions are from the checkpoint's: KL divergence, agreement, perplexity.

Knows rows of logits, a few at a time; float64 throughout, one row at once.
"""

import numpy as np
from numpy.typing import NDArray

from thinkport.export.certify.reference import Logits
from thinkport.runtime.golden_check import correlation
from thinkport.runtime.manifest import Figure, GoldenScore, Perplexity


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
        self._correlation: list[float] = []
        self._surprise: list[tuple[float, float]] = []  # of the checkpoint and of the graph, at tokens that are known
        self._top1 = self._top5 = 0
        self._largest_error = 0.0
        self._largest_logit = 0.0

    def add(self, expected: Logits, found: Logits, following: int | None = None) -> None:
        """Take a row (vocabulary,) of the checkpoint and of the graph, and the token that followed, if one did."""
        self._kl.append(kl_divergence(expected, found))
        self._correlation.append(correlation(expected, found))
        self._top1 += int(expected.argmax() == found.argmax())
        self._top5 += int(expected.argmax() in likeliest(found, 5))
        self._largest_error = max(self._largest_error, float(np.abs(expected - found).max()))
        self._largest_logit = max(self._largest_logit, float(np.abs(expected).max()))
        if following is not None:
            pair = (-log_probabilities(row)[following] for row in (expected, found))
            self._surprise.append(tuple(map(float, pair)))  # type: ignore[arg-type]  # two of them

    def figure(self, graph: str, changed: str | None = None, *, score: GoldenScore, quick_score: GoldenScore) -> Figure:
        """The figures so far, of the graph file `graph`; at least one token must have been added."""
        tokens = len(self._kl)
        return Figure(
            graph=graph,
            tokens=tokens,
            kl_mean=float(np.mean(self._kl)),
            kl_p95=float(np.quantile(self._kl, 0.95)),
            kl_max=max(self._kl),
            top1_agreement=self._top1 / tokens,
            top5_agreement=self._top5 / tokens,
            correlation=float(np.mean(self._correlation)),
            max_relative_error=self._largest_error / (self._largest_logit or 1.0),
            perplexity=self._perplexity(),
            score=score,
            quick_score=quick_score,
        )

    def _perplexity(self) -> Perplexity | None:
        if not self._surprise:
            return None
        checkpoint, graph = np.exp(np.mean(self._surprise, axis=0)).tolist()
        return Perplexity(tokens=len(self._surprise), checkpoint=checkpoint, graph=graph)


def likeliest(logits: Logits, count: int) -> NDArray[np.int64]:
    """The ids of the `count` largest logits of one row, in any order."""
    count = min(count, len(logits))
    return np.argpartition(logits, -count)[-count:]

"""How far a graph's next-token distributions are from the checkpoint's: KL divergence, agreement, perplexity.

Knows rows of logits, one at a time. Exponentials are float32, of logits that are no better, and sums float64.
"""

import numpy as np
from numpy.typing import NDArray

from thinkport.export.reference.logits import Logits
from thinkport.runtime.artifact.certificate import Figure, GoldenScore, Perplexity
from thinkport.runtime.providers.golden_check import correlation


class Softmax:
    """The distribution over one row of logits (vocabulary,)."""

    def __init__(self, logits: Logits) -> None:
        self.shifted = logits - logits.max()
        self.scaled = np.exp(self.shifted)  # the probabilities, times their sum
        self.sum = float(self.scaled.sum(dtype=np.float64))

    @property
    def log_probabilities(self) -> Logits:
        """Their logarithms, in nats."""
        logs: Logits = self.shifted - np.float32(np.log(self.sum))
        return logs


def kl_divergence(expected: Softmax, found: Softmax) -> float:
    """KL(expected || found) of two distributions, in nats."""
    apart = (expected.scaled * (expected.shifted - found.shifted)).sum(dtype=np.float64)  # no BLAS: see `correlation`
    return max(0.0, float(apart / expected.sum - np.log(expected.sum / found.sum)))  # rounding may leave it below zero


class Divergence:
    """Gathers how far a graph's logits are from the checkpoint's, token by token."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, bool, bool]] = []  # KL divergence, correlation, same top, in top 5
        self._surprise: list[tuple[float, float]] = []  # of the checkpoint and of the graph, at tokens that are known
        self._largest_error = 0.0
        self._largest_logit = 0.0

    def add(self, expected: Logits, found: Logits, following: int | None = None) -> float:
        """Take a row (vocabulary,) of the checkpoint and of the graph, and the token that followed, if one did.

        Returns its KL divergence, in nats.
        """
        checkpoint, graph = Softmax(expected), Softmax(found)
        kl, top = kl_divergence(checkpoint, graph), expected.argmax()
        self._rows.append((kl, correlation(expected, found), top == found.argmax(), top in likeliest(found, 5)))
        self._largest_error = max(self._largest_error, float(np.abs(expected - found).max()))
        self._largest_logit = max(self._largest_logit, float(np.abs(expected).max()))
        if following is not None:
            self._surprise.append((-checkpoint.log_probabilities[following], -graph.log_probabilities[following]))
        return kl

    def figure(self, graph: str, changed: str | None = None, *, score: GoldenScore, quick_score: GoldenScore) -> Figure:
        """The figures so far, of the graph file `graph`; at least one token must have been added."""
        tokens = len(self._rows)
        kl, correlations, top1, top5 = zip(*self._rows, strict=True)
        return Figure(
            graph=graph,
            tokens=tokens,
            kl_mean=float(np.mean(kl)),
            kl_p95=float(np.quantile(kl, 0.95)),
            kl_max=max(kl),
            top1_agreement=sum(top1) / tokens,
            top5_agreement=sum(top5) / tokens,
            correlation=float(np.mean(correlations)),
            max_relative_error=self._largest_error / (self._largest_logit or 1.0),
            perplexity=self._perplexity(),
            changed=changed,
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

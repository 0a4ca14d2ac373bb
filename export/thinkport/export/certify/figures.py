"""How far a graph's next-token distributions are from the checkpoint's: KL divergence, agreement, perplexity.

Knows rows of logits, one at a time, and what texts they are of. Exponentials are float32, of logits that are no better,
and sums float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from thinkport.export.certify.interval import interval
from thinkport.export.reference.logits import Logits
from thinkport.runtime.artifact.certificate import Figure, GoldenScore, Perplexity, TextFigure
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

    def surprise(self, token: int) -> float:
        """How unlikely a token is, in nats."""
        return float(np.log(self.sum) - self.shifted[token])


def kl_divergence(expected: Softmax, found: Softmax) -> float:
    """KL(expected || found) of two distributions, in nats."""
    apart = (expected.scaled * (expected.shifted - found.shifted)).sum(dtype=np.float64)  # no BLAS: see `correlation`
    return max(0.0, float(apart / expected.sum - np.log(expected.sum / found.sum)))  # rounding may leave it below zero


def cosine(expected: Logits, found: Logits) -> float:
    """The cosine similarity of two vectors; 0 where one has no length."""
    ours, theirs = expected.astype(np.float64), found.astype(np.float64)
    lengths = float(np.sqrt(np.square(ours).sum() * np.square(theirs).sum()))
    return float((ours * theirs).sum() / lengths) if lengths else 0.0  # no BLAS: see `correlation`


@dataclass(frozen=True)
class TextLabel:
    """Which text a row is of, its kind and, if it has one, its language."""

    name: str
    kind: str
    language: str | None = None


class _Row(NamedTuple):
    """One position; `surprise` is the checkpoint's and the graph's, in nats, at a token that is known."""

    label: TextLabel
    kl: float
    top1: bool
    top5: bool
    surprise: tuple[float, float] | None


class Divergence:
    """Gathers how far a graph's logits are from the checkpoint's, position by position of the texts in order."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._correlations: list[float] = []
        self._largest_error = 0.0
        self._largest_logit = 0.0

    def add(self, label: TextLabel, expected: Logits, found: Logits, following: int | None = None) -> None:
        """Take a row (vocabulary,) of the checkpoint and of the graph, and the token that followed, if one did."""
        checkpoint, graph = Softmax(expected), Softmax(found)
        top = int(expected.argmax())
        above = int((found > found[top]).sum())
        surprise = None if following is None else (checkpoint.surprise(following), graph.surprise(following))
        same = top == int(found.argmax())
        self._rows.append(_Row(label, kl_divergence(checkpoint, graph), same, above < 5, surprise))
        self._see(expected, found)

    def correlate(self, expected: Logits, found: Logits) -> None:
        """Take a row (vocabulary,) whose correlation counts, be it of a text or of random ids."""
        self._correlations.append(correlation(expected, found))
        self._see(expected, found)

    def figure(self, graph: str, changed: str | None = None, *, score: GoldenScore, quick_score: GoldenScore) -> Figure:
        """The figures so far, of the graph file `graph`; at least one row must have been added and correlated."""
        kl = [row.kl for row in self._rows]
        return Figure(
            graph=graph,
            kl_p95=float(np.quantile(kl, 0.95)),
            kl_max=max(kl),
            top5_agreement=float(np.mean([row.top5 for row in self._rows])),
            correlation=float(np.mean(self._correlations)),
            max_relative_error=self._largest_error / (self._largest_logit or 1.0),
            by_kind=self._by("kind"),
            by_language=self._by("language"),
            changed=changed,
            score=score,
            quick_score=quick_score,
            **_measured(self._rows),
        )

    def _see(self, expected: Logits, found: Logits) -> None:
        self._largest_error = max(self._largest_error, float(np.abs(expected - found).max()))
        self._largest_logit = max(self._largest_logit, float(np.abs(expected).max()))

    def _by(self, field: str) -> dict[str, TextFigure]:
        groups: dict[str, list[_Row]] = {}
        for row in self._rows:
            if (name := getattr(row.label, field)) is not None:
                groups.setdefault(name, []).append(row)
        return {name: TextFigure(**_measured(rows)) for name, rows in groups.items()}


def _measured(rows: Sequence[_Row]) -> dict[str, Any]:
    """What Figure and TextFigure have in common."""
    texts: dict[TextLabel, list[float]] = {}
    for row in rows:
        texts.setdefault(row.label, []).append(row.kl)
    low, high = interval([*texts.values()]) or (None, None)
    return {
        "tokens": len(rows),
        "kl_mean": float(np.mean([row.kl for row in rows])),
        "kl_low": low,
        "kl_high": high,
        "top1_agreement": float(np.mean([row.top1 for row in rows])),
        "perplexity": _perplexity([row.surprise for row in rows if row.surprise]),
    }


def _perplexity(surprise: Sequence[tuple[float, float]]) -> Perplexity | None:
    if not surprise:
        return None
    checkpoint, graph = np.exp(np.mean(surprise, axis=0)).tolist()
    return Perplexity(tokens=len(surprise), checkpoint=checkpoint, graph=graph)

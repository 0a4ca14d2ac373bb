"""What the figures of a certificate mean, in words: the one place that has the thresholds and the words.

A verdict follows from the figures alone, so an artifact of an earlier export has one too. The thresholds are argued
from real models in deploy/docs/choosing-a-recipe.md. Graphs that embed have cosine similarities and no verdict: no real
model was there to argue thresholds from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from thinkport.runtime.artifact.certificate import Certificate, Figure, ScoreFigure, TextFigure, VectorFigure

CLOSE = 0.05  # nats, the most mean KL divergence; perplexity rises by about 5 %
USABLE = 0.2  # perplexity rises by about 22 %
_ERRORS = 2  # standard errors to each side where only the means of texts were recorded


class Grade(StrEnum):
    """How near a graph is to its checkpoint. A member's text is what a user reads."""

    CLOSE = "close"
    USABLE = "usable"
    DAMAGED = "damaged"

    @property
    def rank(self) -> int:
        """0 is the nearest."""
        return [*Grade].index(self)

    @classmethod
    def of(cls, kl: float) -> "Grade":
        """The grade of a mean KL divergence in nats."""
        return cls.CLOSE if kl <= CLOSE else cls.USABLE if kl <= USABLE else cls.DAMAGED


@dataclass(frozen=True, kw_only=True)
class Grading:
    """The grades that figures allow, from `best` to `worst`, and `exceptions`: texts that surely have a worse one."""

    best: Grade
    worst: Grade
    exceptions: tuple[tuple[str, Grade], ...] = ()

    @property
    def grade(self) -> str:
        """The words for all texts together."""
        return str(self.best) if self.best is self.worst else f"between {self.best} and {self.worst}"

    @property
    def damaged(self) -> bool:
        """Whether the graph is surely damaged, on all texts together or on some kind of them."""
        return Grade.DAMAGED in (self.best, *(grade for _, grade in self.exceptions))

    def within(self, least: Grade) -> bool:
        """Whether the figures allow that the graph is `least` or nearer."""
        return all(grade.rank <= least.rank for grade in (self.best, *(grade for _, grade in self.exceptions)))

    def __str__(self) -> str:
        groups: dict[Grade, list[str]] = {}
        for name, grade in self.exceptions:
            groups.setdefault(grade, []).append(name)
        return "; ".join([self.grade, *(f"{grade} on {', '.join(names)}" for grade, names in groups.items())])


def verdict_of(found: Figure | TextFigure) -> Grading:
    """The verdict of one mean with its interval, or of the mean alone where there is none."""
    low = found.kl_mean if found.kl_low is None else found.kl_low
    high = found.kl_mean if found.kl_high is None else found.kl_high
    return Grading(best=Grade.of(low), worst=Grade.of(high))


def verdict_of_graph(figure: Figure) -> Grading:
    """The verdict of a graph: that of all texts, with the kinds and languages that surely have a worse one."""
    of_before = figure.kl_low is None and figure.kl_by_text
    whole = _of_means([*(figure.kl_by_text or {}).values()]) if of_before else verdict_of(figure)
    groups = {**(figure.by_kind or {}), **(figure.by_language or {})}
    graded = {name: Grade.of(group.kl_low) for name, group in groups.items() if group.kl_low is not None}
    worse = tuple((name, grade) for name, grade in graded.items() if grade.rank > whole.worst.rank)
    return Grading(best=whole.best, worst=whole.worst, exceptions=worse)


def verdict_of_artifact(certificate: Certificate) -> Grading:
    """The verdict of an artifact: that of its worst graph.

    A graph that was asked few texts widens nothing: it has the weights of one that was asked all of them.
    """
    found = [(figure, verdict_of_graph(figure)) for figure in certificate.figures]
    best = _worst([one.best for _, one in found])
    worst = _worst([best, *(one.worst for figure, one in found if figure.prompts is None)])
    kinds = [exception for _, one in found for exception in one.exceptions if exception[1].rank > worst.rank]
    highest = {name: _worst([grade for other, grade in kinds if other == name]) for name, _ in kinds}
    return Grading(best=best, worst=worst, exceptions=tuple(highest.items()))


def verdict_line(certificate: Certificate) -> str:
    """The artifact's verdict with what to do, such as "damaged: take `int8-g32`"; cosines of one that embeds."""
    if certificate.vectors:
        return vector_words(min(certificate.vectors, key=lambda figure: figure.cosine_mean))
    verdict = verdict_of_artifact(certificate)
    if certificate.finer_recipe is None or not (verdict.damaged or verdict.worst is Grade.DAMAGED):
        return str(verdict)
    return f"{verdict}: take `{certificate.finer_recipe}`"


def vector_words(figure: VectorFigure) -> str:
    """How near a graph's embeddings are to the checkpoint's."""
    return (
        f"mean cosine similarity {figure.cosine_mean:.4f}, least {figure.cosine_min:.4f} with the checkpoint's "
        f"embeddings of {figure.texts} texts"
    )


def score_words(figure: ScoreFigure) -> str:
    """How near a graph's scores are to the checkpoint's."""
    return (
        f"scores of {figure.pairs} pairs differ by {figure.error_mean:.2g} on average, {figure.error_max:.2g} at most; "
        f"{figure.in_order:.0%} of documents in the same order"
    )


def is_damaged(certificate: Certificate) -> bool:
    """Whether some graph is surely damaged."""
    return bool(certificate.figures) and verdict_of_artifact(certificate).damaged


def verdicts_as_json(certificate: Certificate) -> dict[str, Any]:
    """The verdicts for programs: of the artifact and of each graph, in words."""
    graphs = {figure.graph: str(verdict_of_graph(figure)) for figure in certificate.figures}
    graphs |= {figure.graph: vector_words(figure) for figure in certificate.vectors or ()}
    return {
        "artifact": str(verdict_of_artifact(certificate)) if certificate.figures else verdict_line(certificate),
        "damaged": is_damaged(certificate),
        "finer_recipe": certificate.finer_recipe,
        "graphs": graphs,
    }


def _of_means(means: Sequence[float]) -> Grading:
    """The verdict of means of texts, as artifacts of before recorded them, as if each were one draw."""
    mean = fmean(means)
    error = _ERRORS * stdev(means) / sqrt(len(means)) if len(means) > 1 else 0.0
    return Grading(best=Grade.of(mean - error), worst=Grade.of(mean + error))


def _worst(grades: Sequence[Grade]) -> Grade:
    return max(grades, key=lambda grade: grade.rank)

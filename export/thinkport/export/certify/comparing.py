"""One graph, run over its questions and held against the checkpoint's logits."""

from thinkport.export.certify.cpu_session import CpuSession
from thinkport.export.certify.figures import Divergence
from thinkport.export.certify.judging import check_finite
from thinkport.export.certify.measured_text import CHUNK, MeasuredText
from thinkport.export.certify.prompts import Questions
from thinkport.export.reference.logits import Logits, ReferenceLogits
from thinkport.runtime.artifact.certificate import Figure
from thinkport.runtime.artifact.goldens import Golden
from thinkport.runtime.artifact.manifest import Graph
from thinkport.runtime.providers.golden_check import DECODED, Scorer, golden_rows, quick


class Answers:
    """What the checkpoint answers: its logits by a text's name, and the goldens made of them."""

    def __init__(self, logits: ReferenceLogits, goldens: list[Golden]) -> None:
        self.logits, self.goldens = logits, goldens
        self.by_name = {entry.name: entry for entry in goldens}
        self.quick = {entry.name for entry in quick(goldens)}


def compared(loaded: CpuSession, graph: Graph, questions: Questions, answers: Answers) -> Figure:
    """The figures of a loaded graph; the last tokens of a golden go one at a time.

    Raises:
        ArtifactError: the graph fails.
        CertificateError: its logits are not numbers.
    """
    divergence, scorer, quick_scorer = Divergence(), Scorer(), Scorer()
    for golden, at, found in golden_rows(loaded.session, questions.goldens, DECODED, loaded.run):
        check_finite(graph, golden.name, found)
        _add_golden(divergence, golden, at, answers.logits.of(golden.name)[at], found)
        entry = answers.by_name[golden.name]
        scorer.add(entry, at, found)
        if entry.name in answers.quick:
            quick_scorer.add(entry, at, found)
    if not questions.texts:  # a run of no steps would load every part
        return divergence.figure(graph.file, loaded.changed, score=scorer.score, quick_score=quick_scorer.score)
    for text, at, found in golden_rows(loaded.session, questions.texts, 0, loaded.run, chunk=CHUNK):
        check_finite(graph, text.name, found)
        if text.label is not None:
            divergence.add(text.label, answers.logits.of(text.name)[at], found, text.following(at))
    return divergence.figure(graph.file, loaded.changed, score=scorer.score, quick_score=quick_scorer.score)


def _add_golden(divergence: Divergence, golden: MeasuredText, at: int, expected: Logits, found: Logits) -> None:
    """A golden's row; nothing of `expected` is kept, or two groups of logits would be held at the next one."""
    divergence.correlate(expected, found)
    if golden.label is not None:
        divergence.add(golden.label, expected, found, golden.following(at))

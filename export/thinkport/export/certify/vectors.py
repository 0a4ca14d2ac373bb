"""Certifying graphs that embed: cosine similarities of their vectors with the checkpoint's, on goldens and other texts.

A vector is the hidden state behind a text's last token, so texts end here as the tokenizer ends them. The goldens are
those of a chat model's certificate, with hidden states at all of their positions: they show where a device goes wrong.
"""

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import numpy as np

from thinkport.export.certify.cpu_session import CpuSession, cpu_session, measurable
from thinkport.export.certify.figures import cosine
from thinkport.export.certify.goldens import GOLDENS, golden, sample_ids, write_goldens
from thinkport.export.certify.judging import check_finite, judge_vectors
from thinkport.export.certify.measured_text import CHUNK, MeasuredText
from thinkport.export.certify.own_goldens import natives_own, own_golden
from thinkport.export.certify.prompts import brief, golden_prompts
from thinkport.export.certify.texts import certificate_texts
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint.tokenizer_files import tokenizer_of
from thinkport.export.families import DecoderShape, family_of
from thinkport.export.reference.logits import ReferenceLogits
from thinkport.export.reference.streamed_weights import StreamedWeights
from thinkport.runtime.artifact.certificate import Certificate, VectorFigure
from thinkport.runtime.artifact.goldens import Golden
from thinkport.runtime.artifact.manifest import Graph, ModelShape
from thinkport.runtime.providers.golden_check import DECODED, Scorer, golden_rows, quick


def certify_vectors(
    folder: Path,
    graphs: Sequence[Graph],
    model: ModelShape,
    checkpoint: Checkpoint,
    shape: DecoderShape,
    *,
    min_agreement: float | None,
    advance: Callable[[int], None],
) -> Certificate:
    """Measure `folder`'s graphs against the checkpoint in float32; see `certify`, whose arguments these are.

    Raises:
        CertificateError: a graph of plain float32 weights computes something else than the checkpoint, a rounded one
            has a mean cosine below `min_agreement`, or a graph gives NaN or infinity.
        CheckpointError: the checkpoint can't be read.
        ArtifactError: the installed ONNX Runtime can't run a graph.
    """
    prompts = golden_prompts(checkpoint, shape.vocab_size, shape.context_length)
    texts = _ended(certificate_texts(checkpoint, shape), tokenizer_of(checkpoint).surroundings)
    rows = {text.name: (text.ids, text.rows) for text in (*prompts, *texts)}
    decoder = family_of(checkpoint.config).decoder(StreamedWeights(checkpoint=checkpoint, advance=advance), shape)
    hidden = ReferenceLogits(decoder, shape.layers, rows)
    advance(4 * prod(shape.table))
    sample = sample_ids(shape.hidden_size)
    goldens = [golden(prompt, hidden.of(prompt.name), sample, likeliest=False) for prompt in prompts]
    measure = _Measure(prompts=prompts, texts=texts, hidden=hidden, goldens=goldens)
    vectors, own = [], {}
    for graph in measurable(graphs):
        with cpu_session(folder, graph, model) as loaded:
            vectors.append(measure(loaded, graph, whole=graph is graphs[0]))
            if min_agreement is not None and graph in graphs:
                own[graph.file] = own_golden(folder, graph, model, loaded, prompts, sample)
    if min_agreement is not None:
        own |= natives_own(graphs, own)
        judge_vectors(folder, graphs, vectors, min_agreement)
        write_goldens(folder / GOLDENS, goldens, own)
    return Certificate(goldens=GOLDENS, figures=[], vectors=vectors)


class _Measure:
    """Measures a graph; graphs over the weights of one that answered all are asked less."""

    def __init__(
        self,
        *,
        prompts: Sequence[MeasuredText],
        texts: Sequence[MeasuredText],
        hidden: ReferenceLogits,
        goldens: Sequence[Golden],
    ) -> None:
        self._prompts, self._texts, self._hidden = prompts, texts, hidden
        self._goldens = {entry.name: entry for entry in goldens}
        self._quick = {entry.name for entry in quick(goldens)}

    def __call__(self, loaded: CpuSession, graph: Graph, *, whole: bool) -> VectorFigure:
        asked, scorer, quick_scorer = self._prompts if whole else brief(self._prompts), Scorer(), Scorer()
        largest, cosines = np.zeros(2), []  # the largest error, and the largest number
        for prompt, at, found in golden_rows(loaded.session, asked, DECODED, loaded.run):
            check_finite(graph, prompt.name, found)
            expected = self._hidden.of(prompt.name)[at]
            largest = np.maximum(largest, [np.abs(expected - found).max(), np.abs(expected).max()])
            scorer.add(self._goldens[prompt.name], at, found)
            if prompt.name in self._quick:
                quick_scorer.add(self._goldens[prompt.name], at, found)
        for text, at, found in golden_rows(loaded.session, self._texts, 0, loaded.run, chunk=CHUNK):
            check_finite(graph, text.name, found)
            cosines.append(cosine(self._hidden.of(text.name)[at], found))
        return VectorFigure(
            graph=graph.file,
            texts=len(cosines),
            cosine_mean=float(np.mean(cosines)),
            cosine_min=min(cosines),
            max_relative_error=float(largest[0] / (largest[1] or 1.0)),
            changed=loaded.changed,
            prompts=None if whole else [prompt.name for prompt in asked],
            score=scorer.score,
            quick_score=quick_scorer.score,
        )


def _ended(texts: Sequence[MeasuredText], around: tuple[list[int], list[int]]) -> list[MeasuredText]:
    """The texts as they are embedded, compared behind their last token."""
    start, end = (np.array(ids, np.int64) for ids in around)
    whole = [np.concatenate([start, text.ids, end]) for text in texts]
    return [
        MeasuredText(name=text.name, ids=ids, rows=np.array([len(ids) - 1]))
        for text, ids in zip(texts, whole, strict=True)
    ]

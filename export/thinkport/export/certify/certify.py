"""Certifying: an artifact's graphs against its checkpoint, on prompts that travel with the artifact.

Knows the order of the steps. Each graph in turn continues some prompts; then the checkpoint is computed once over all
texts; then each graph is loaded again and measured. The first graph runs all prompts, and so does a prefill graph,
which has weights of its own. The other graphs run fewer, since they share the first one's weights and the CPU is slow
in the types of other providers.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import onnx_ir as ir

from thinkport.export.certify import greedy
from thinkport.export.certify.cpu_session import CpuSession, cpu_session, prefill_cpu_session
from thinkport.export.certify.figures import Divergence
from thinkport.export.certify.goldens import GOLDENS, golden, sample_ids, write_goldens
from thinkport.export.certify.parted_session import HELD
from thinkport.export.certify.prompts import RANDOM, GoldenPrompt, Questions, golden_prompts, questions_of
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.errors import CertificateError
from thinkport.export.families import DecoderShape, family_of
from thinkport.export.reference.decoder import Decoder
from thinkport.export.reference.logits import Ids, Logits, reference_logits
from thinkport.export.reference.streamed_weights import StreamedWeights
from thinkport.export.write.records import model_record
from thinkport.runtime.artifact.certificate import Certificate, Figure
from thinkport.runtime.artifact.goldens import Golden
from thinkport.runtime.artifact.manifest import Graph, ModelShape, read_manifest
from thinkport.runtime.errors import InputError
from thinkport.runtime.providers.golden_check import DECODED, Scorer, golden_rows, quick

EXACT = 1e-3  # of the largest logit: ten times what a right float32 graph needs, far below what a wrong one shows
_UNROUNDED = {ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL}


def certify(
    folder: Path,
    graphs: Sequence[Graph],
    model: ModelShape,
    checkpoint: Checkpoint,
    shape: DecoderShape,
    *,
    min_agreement: float | None,
    advance: Callable[[int], None],
) -> Certificate:
    """Measure `folder`'s graphs against the checkpoint in float32, and write `goldens.safetensors` beside them.

    Without `min_agreement`, figures are not judged and nothing is written. `advance` is told the bytes of weights done,
    `streamed_bytes` of the reference in all.

    Raises:
        CertificateError: a graph of plain float32 weights computes something else than the checkpoint, a rounded one
            agrees less than `min_agreement` (mean correlation of logits), or a graph gives NaN or infinity.
        CheckpointError: the checkpoint can't be read.
        ArtifactError: the installed ONNX Runtime can't run a graph.
    """
    decoder = family_of(checkpoint.config).decoder(StreamedWeights(checkpoint=checkpoint, advance=advance), shape)
    prompts = golden_prompts(checkpoint, shape.vocab_size, shape.context_length)
    whole, brief = questions_of(prompts)
    asked = [brief if at else whole for at in range(len(graphs))]
    said: list[list[Ids]] = []
    for graph, questions in zip(graphs, asked, strict=True):
        said.append(_said(folder, graph, model, questions, guesses=said[0] if said else []))
    expected, chosen = _reference(decoder, shape.layers, prompts, list(chain.from_iterable(said)))
    sample = sample_ids(shape.vocab_size)
    answers = Answers(expected, [golden(prompt, expected[prompt.name], sample) for prompt in prompts])
    figures = []
    for graph, questions, texts in zip(graphs, asked, said, strict=True):
        common = sum(greedy.in_common(text, chosen[text.tobytes()]) for text in texts)
        with cpu_session(folder, graph, model) as loaded:
            figure = _compared(loaded, graph, questions, answers, DECODED)
        counts = {"greedy_tokens": common, "greedy_asked": greedy.TOKENS * len(texts)}
        names = [prompt.name for prompt in questions.compared]
        figures.append(figure.model_copy(update={**counts, "prompts": None if questions is whole else names}))
    for prefill in filter(None, (graph.prefill for graph in graphs)):
        with prefill_cpu_session(folder, prefill, model) as loaded:
            figures.append(_compared(loaded, prefill.graph, whole, answers, decoded=0))
    if min_agreement is not None:
        _judge(folder, graphs, figures, min_agreement)
        write_goldens(folder / GOLDENS, answers.goldens)
    return Certificate(goldens=GOLDENS, figures=figures, command=_command(checkpoint))


def recertify(folder: Path, checkpoint: str, adapter: Path | None = None) -> Certificate:
    """Measure a finished artifact again, as `thinkport verify --checkpoint` asks; nothing is written.

    The checkpoint is a folder, a .gguf file or a Hub id; `adapter` is the folder of what was merged into it.

    Raises:
        InputError: the checkpoint is of another size than the artifact, or the adapter is missing or too much.
        ThinkportError: artifact or checkpoint can't be read.
    """
    manifest = read_manifest(folder)
    if (manifest.source.adapter is None) != (adapter is None):
        merged = f"the adapter {manifest.source.adapter!r}" if adapter is None else "no adapter"
        raise InputError(f"{folder} was made with {merged} merged: give --adapter for what was, and leave it out else")
    opened = open_checkpoint(checkpoint, adapter=adapter)
    family = family_of(opened.config)
    shape = family.shape(opened.config)
    _check_same(manifest.model, model_record(family.model_type, shape), checkpoint)
    family.check_weights(opened.tensors, shape)
    measured = folder, manifest.graphs, manifest.model, opened, shape
    return certify(*measured, min_agreement=None, advance=lambda _: None)


def _check_same(made: ModelShape, asked: ModelShape, checkpoint: str) -> None:
    """Figures against a model of other numbers would be figures of nothing."""
    ours, theirs = made.model_dump(), asked.model_dump()
    other = [f"{name} {theirs[name]} (the artifact: {ours[name]})" for name in ours if ours[name] != theirs[name]]
    if other:
        raise InputError(
            f"{checkpoint} is not the checkpoint that this artifact was made of: it has {', '.join(other)}; give the "
            "one that the manifest's `source` names"
        )


def _command(checkpoint: Checkpoint) -> str:
    """The command that measures it again in the artifact's folder."""
    name = checkpoint.id if checkpoint.revision is None else f"{checkpoint.id}@{checkpoint.revision}"
    adapter = "" if checkpoint.adapter is None else f" --adapter {shlex.quote(checkpoint.adapter)}"
    return f"thinkport verify . --checkpoint {shlex.quote(name)}{adapter}"


class Answers:
    """The checkpoint's logits (rows, vocabulary) by a prompt's name, and the goldens made of them."""

    def __init__(self, logits: Mapping[str, Logits], goldens: list[Golden]) -> None:
        self.logits, self.goldens = logits, goldens
        self.by_name = {entry.name: entry for entry in goldens}
        self.quick = {entry.name for entry in quick(goldens)}


def _said(folder: Path, graph: Graph, model: ModelShape, questions: Questions, guesses: Sequence[Ids]) -> list[Ids]:
    """Greedy continuations of the prompts by one graph; `guesses` are those of another graph."""
    prompts = [prompt.ids for prompt in questions.continued]
    with cpu_session(folder, graph, model, held=HELD) as (session, run, changed):
        return greedy.continued(session, prompts, guesses if changed else (), run=run)


def _reference(
    decoder: Decoder, layers: int, prompts: Sequence[GoldenPrompt], said: Sequence[Ids]
) -> tuple[dict[str, Logits], dict[bytes, Logits]]:
    """The checkpoint's logits at the prompts' rows, by name, and before every token that a graph chose, by the ids.

    Graphs that say the same cost no more than one.
    """
    texts = {text.tobytes(): text for text in said}
    ids = [prompt.ids for prompt in prompts] + list(texts.values())
    rows = [prompt.rows for prompt in prompts] + [greedy.rows_before(text) for text in texts.values()]
    logits = reference_logits(decoder, layers, ids, rows)
    asked = {prompt.name: found for prompt, found in zip(prompts, logits, strict=False)}
    return asked, dict(zip(texts, logits[len(prompts) :], strict=True))


def _compared(loaded: CpuSession, graph: Graph, questions: Questions, answers: Answers, decoded: int) -> Figure:
    divergence, scorer, quick_scorer = Divergence(), Scorer(), Scorer()
    by_text: dict[str, list[float]] = {}
    for prompt, at, found in golden_rows(loaded.session, questions.compared, decoded, loaded.run):
        entry = answers.by_name[prompt.name]
        _check_finite(graph, prompt.name, found)
        kl = divergence.add(answers.logits[prompt.name][at], found, _following(prompt, at))
        if prompt.title != RANDOM:
            by_text.setdefault(prompt.title, []).append(kl)
        scorer.add(entry, at, found)
        if entry.name in answers.quick:
            quick_scorer.add(entry, at, found)
    figure = divergence.figure(graph.file, loaded.changed, score=scorer.score, quick_score=quick_scorer.score)
    return figure.model_copy(update={"kl_by_text": {name: float(np.mean(found)) for name, found in by_text.items()}})


def _following(prompt: GoldenPrompt, at: int) -> int | None:
    """The token after a row of a text: what perplexity is of."""
    position = int(prompt.rows[at]) + 1
    return int(prompt.ids[position]) if prompt.is_text and position < len(prompt.ids) else None


def is_exact(folder: Path, graph: Graph) -> bool:
    """Whether nothing in the graph is rounded below float32: neither weights nor the KV cache."""
    weights = ir.load(folder / graph.file).graph.initializers.values()
    return graph.kv.dtype == "float32" and all(weight.dtype in _UNROUNDED for weight in weights)


def _check_finite(graph: Graph, prompt: str, found: Logits) -> None:
    """Refuse logits that are not numbers.

    Raises:
        CertificateError: the row holds NaN or infinity.
    """
    if not np.isfinite(found).all():
        raise CertificateError(
            f"{graph.file} gives logits that are not numbers in the prompt {prompt}: the graph is wrong; report it "
            "with the checkpoint's name"
        )


def _judge(folder: Path, graphs: Sequence[Graph], figures: Sequence[Figure], least: float) -> None:
    """Refuse graphs of float32 weights that compute something else than the checkpoint, and ones that agree too little.

    Raises:
        CertificateError: an error above `EXACT`, or logits that correlate with the checkpoint's less than `least`.
    """
    files = {graph.file: graph for graph in graphs}
    for figure in figures:
        exact = figure.graph in files and is_exact(folder, files[figure.graph])
        if exact and figure.max_relative_error > EXACT:
            raise CertificateError(
                f"{figure.graph} is off by {figure.max_relative_error:.1e} of the largest logit, expected at most "
                f"{EXACT:.0e} of float32 weights: the graph is wrong; report it with the checkpoint's name"
            )
        if figure.correlation < least:
            raise CertificateError(
                f"{figure.graph} agrees with the checkpoint by {figure.correlation:.3f} (mean correlation of logits "
                f"over {figure.tokens} positions), expected at least {least:g}: the recipe is too coarse for this "
                "checkpoint, or the graph is wrong; try a finer recipe (`thinkport recipes`), or lower --min-agreement"
            )

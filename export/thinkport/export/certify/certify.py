"""Certifying: an artifact's graphs against its checkpoint, on goldens that travel with it and on longer texts.

Beside the checkpoint's goldens travels what each graph itself gives, for devices to be held against.

Knows the order of the steps. Each graph in turn continues some prompts, and the first also draws replies of its own.
Then the checkpoint is computed once over all texts, and each graph is loaded again and measured, native ones too where
thinkport's kernels are installed. The first graph runs all texts. The other graphs run fewer, since they share the
first one's weights and the CPU is slow in the types of other providers.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

from thinkport.export.certify import greedy
from thinkport.export.certify.comparing import Answers, compared
from thinkport.export.certify.cpu_session import cpu_session, measurable
from thinkport.export.certify.goldens import GOLDENS, golden, sample_ids, write_goldens
from thinkport.export.certify.judging import Agreement, judge
from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.certify.own_goldens import natives_own, own_golden
from thinkport.export.certify.prompts import golden_prompts, questions_of
from thinkport.export.certify.relevance import ranked_pairs, scores_compared
from thinkport.export.certify.saying import Said, own_replies, said
from thinkport.export.certify.second_reading import second_reading
from thinkport.export.certify.texts import certificate_texts
from thinkport.export.certify.vectors import certify_vectors
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.checkpoint.tokenizer_files import tokenizer_of
from thinkport.export.families import DecoderShape, family_of, shape_of
from thinkport.export.reference.decoder import Decoder
from thinkport.export.reference.logits import Ids, ReferenceLogits
from thinkport.export.reference.streamed_weights import StreamedWeights
from thinkport.export.write.records import model_record
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.goldens import Golden, read_goldens
from thinkport.runtime.artifact.manifest import Graph, Manifest, ModelShape, Task, read_manifest
from thinkport.runtime.artifact.verdict import Grade
from thinkport.runtime.errors import InputError


def certify(
    folder: Path,
    graphs: Sequence[Graph],
    model: ModelShape,
    checkpoint: Checkpoint,
    shape: DecoderShape,
    *,
    min_agreement: Agreement | None,
    advance: Callable[[int], None],
) -> Certificate:
    """Measure `folder`'s graphs against the checkpoint in float32, and write `goldens.safetensors` beside them.

    Without `min_agreement`, figures are not judged and nothing is written. `advance` is told the bytes of weights done,
    `streamed_bytes` of the reference in all. Of a checkpoint that embeds, cosine similarities are measured; of one that
    reranks, scores beside the rest.

    Raises:
        CertificateError: a graph of plain float32 weights computes something else than the checkpoint, a rounded one
            agrees less than `min_agreement`, or a graph gives NaN or infinity.
        CheckpointError: the checkpoint can't be read.
        ArtifactError: the installed ONNX Runtime can't run a graph.
    """
    if checkpoint.task is Task.EMBEDDING:
        assert not isinstance(min_agreement, Grade), "it is refused before"
        measured = folder, graphs, model, checkpoint, shape
        vectors = certify_vectors(*measured, min_agreement=min_agreement, advance=advance)
        return vectors.model_copy(update={"command": _command(checkpoint)})
    prompts = golden_prompts(checkpoint, shape.vocab_size, shape.context_length)
    tokenizer = tokenizer_of(checkpoint)
    reranking = family_of(checkpoint.config).reranking(tokenizer) if checkpoint.task is Task.RERANK else None
    pairs = ranked_pairs(tokenizer, reranking) if reranking else []
    fixed = certificate_texts(checkpoint, shape)
    whole, brief = questions_of(prompts, fixed)
    first = said(folder, graphs[0], model, whole, drawn=own_replies(checkpoint, shape))
    asked_graphs = measurable(graphs)
    others = [said(folder, graph, model, brief, guesses=first.greedy) for graph in asked_graphs[1:]]
    whole = replace(whole, texts=[*fixed, *first.own])
    heard = [first, *others]
    answers, common = _answers(checkpoint, shape, prompts, [*whole.texts, *pairs], heard, advance)
    expected = {pair.name: answers.logits.of(pair.name)[0].copy() for pair in pairs}
    figures, scores, own = [], [], {}
    for graph, one in zip(asked_graphs, heard, strict=True):
        asked = whole if one is first else brief
        with cpu_session(folder, graph, model) as loaded:
            figure = compared(loaded, graph, asked, answers)
            if min_agreement is not None and graph in graphs:  # a native one has its parent's
                own[graph.file] = own_golden(folder, graph, model, loaded, prompts, sample_ids(shape.vocab_size))
            if reranking:
                scores.append(scores_compared(loaded, graph, pairs, expected, reranking))
        same = sum(common[text.tobytes()] for text in one.greedy)
        counts = {"greedy_tokens": same, "greedy_asked": greedy.TOKENS * len(one.greedy)}
        names = [prompt.name for prompt in asked.goldens]
        figures.append(figure.model_copy(update={**counts, "prompts": None if one is first else names}))
    if min_agreement is not None:
        own |= natives_own(graphs, own)
        judge(folder, graphs, figures, min_agreement)
        write_goldens(folder / GOLDENS, answers.goldens, own)
    return Certificate(goldens=GOLDENS, figures=figures, command=_command(checkpoint), scores=scores or None)


def _answers(
    checkpoint: Checkpoint,
    shape: DecoderShape,
    prompts: Sequence[MeasuredText],
    texts: Sequence[MeasuredText],
    heard: Sequence[Said],
    advance: Callable[[int], None],
) -> tuple[Answers, dict[bytes, int]]:
    """The checkpoint over all texts, and how many greedy tokens it has in common with each continuation, by its ids.

    Graphs that say the same cost no more than one.
    """
    family = family_of(checkpoint.config)
    spoken = {text.tobytes(): text for one in heard for text in one.greedy}
    rows: dict[str, tuple[Ids, Ids]] = {text.name: (text.ids, text.rows) for text in (*prompts, *texts)}
    rows |= {f"greedy-{at}": (text, greedy.rows_before(text)) for at, text in enumerate(spoken.values())}

    def decoder(told: Callable[[int], None]) -> Decoder:
        return family.decoder(StreamedWeights(checkpoint=checkpoint, advance=told), shape)

    logits = ReferenceLogits(decoder(advance), shape.layers, rows, head=decoder(lambda _: None))
    advance(4 * prod(shape.table))  # lm_head, which is read again for every group of texts
    sample = sample_ids(shape.vocab_size)
    common = {key: greedy.in_common(ids, logits.of(f"greedy-{at}")) for at, (key, ids) in enumerate(spoken.items())}
    # Last: the first graph is compared on the goldens next, whose logits are held then.
    goldens = [golden(prompt, logits.of(prompt.name), sample) for prompt in prompts]
    return Answers(logits, goldens), common


def recertify(
    folder: Path,
    checkpoint: str,
    adapter: Path | None = None,
    *,
    told: Callable[[bool | None, str], object] = lambda passed, detail: None,
) -> Certificate:
    """Measure a finished artifact again, as `thinkport verify --checkpoint` asks; nothing is written.

    The checkpoint is a folder, a .gguf file or a Hub id; `adapter` is the folder of what was merged into it. `told` is
    called first, with what transformers itself makes of the checkpoint: see `second_reading`.

    Raises:
        InputError: the checkpoint is of another size than the artifact, or the adapter is missing or too much.
        ThinkportError: artifact or checkpoint can't be read.
    """
    manifest = read_manifest(folder)
    if (manifest.source.adapter is None) != (adapter is None):
        merged = f"the adapter {manifest.source.adapter!r}" if adapter is None else "no adapter"
        raise InputError(f"{folder} was made with {merged} merged: give --adapter for what was, and leave it out else")
    opened = open_checkpoint(checkpoint, adapter=adapter, task=manifest.task)
    family, shape = family_of(opened.config), shape_of(opened)
    _check_same(manifest.model, model_record(family.model_type, shape), checkpoint)
    family.check_weights(opened.tensors, shape)
    told(*second_reading(opened, _shortest(folder, manifest, opened, shape), adapter))
    measured = folder, manifest.graphs, manifest.model, opened, shape
    return certify(*measured, min_agreement=None, advance=lambda _: None)


def _shortest(folder: Path, manifest: Manifest, checkpoint: Checkpoint, shape: DecoderShape) -> Golden:
    """The artifact's shortest golden; where it has none, what the reference gives for the shortest prompt."""
    if manifest.certificate is not None:
        return min(read_goldens(folder / manifest.certificate.goldens), key=lambda one: len(one.ids))
    prompt = min(golden_prompts(checkpoint, shape.vocab_size, shape.context_length), key=lambda one: len(one.ids))
    embeds = checkpoint.task is Task.EMBEDDING
    body, head = (
        family_of(checkpoint.config).decoder(StreamedWeights(checkpoint=checkpoint, advance=lambda _: None), shape)
        for _ in range(2)
    )
    rows = {prompt.name: (prompt.ids, prompt.rows)}
    logits = ReferenceLogits(body, shape.layers, rows, head=None if embeds else head)
    sample = sample_ids(shape.hidden_size if embeds else shape.vocab_size)
    return golden(prompt, logits.of(prompt.name), sample, likeliest=not embeds)


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

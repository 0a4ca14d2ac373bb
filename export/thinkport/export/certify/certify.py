"""Certifying: an artifact's graph against its checkpoint, on prompts that travel with the artifact.

Knows the order of the steps. The checkpoint is computed and let go of before the graph is loaded.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from thinkport.export.certify.cpu_form import cpu_form
from thinkport.export.certify.decoder import DECODERS, Decoder
from thinkport.export.certify.figures import Divergence
from thinkport.export.certify.goldens import GOLDENS, golden, write_goldens
from thinkport.export.certify.graph_file import is_exact
from thinkport.export.certify.graph_logits import graph_logits, open_session
from thinkport.export.certify.prompts import golden_prompts
from thinkport.export.certify.reference import Ids, Logits, reference_logits
from thinkport.export.certify.streamed_weights import StreamedWeights
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.errors import CertificateError
from thinkport.export.families import DecoderShape
from thinkport.runtime.manifest import Certificate, Figure, Graph, ModelShape, Prefill
from thinkport.runtime.prefill import write_entry
from thinkport.runtime.threads import physical_cores

EXACT = 1e-3  # of the largest logit: ten times what a right float32 graph needs, far below what a wrong one shows


def certify(
    folder: Path,
    graphs: Sequence[Graph],
    model: ModelShape,
    checkpoint: Checkpoint,
    shape: DecoderShape,
    *,
    advance: Callable[[int], None],
) -> Certificate:
    """Measure `folder`'s graphs against the checkpoint in float32, and write `goldens.safetensors` beside them.

    The checkpoint is computed once, and the graphs are loaded one after another. A quantized graph is measured and not
    judged. `advance` is told the bytes of weights done, `streamed_bytes` in all.

    Raises:
        CertificateError: a graph of plain float32 weights computes something else than the checkpoint, a graph gives
            NaN or infinity, the family has no reference, or the graph would not fit into memory.
        CheckpointError: the checkpoint can't be read.
        ArtifactError: the installed ONNX Runtime can't run the graph.
    """
    decoder = _decoder(model.family, StreamedWeights(checkpoint=checkpoint, advance=advance), shape)
    prompts = golden_prompts(checkpoint, shape.vocab_size)
    expected = reference_logits(decoder, shape.layers, prompts)
    figures = [_measured(folder, graph, model, prompts, expected) for graph in graphs]
    figures += [_measured_prefill(folder, graph.prefill, model, prompts, expected) for graph in graphs if graph.prefill]
    write_goldens(folder / GOLDENS, [golden(ids, rows) for ids, rows in zip(prompts, expected, strict=True)])
    return Certificate(goldens=GOLDENS, figures=figures)


def _measured(
    folder: Path, graph: Graph, model: ModelShape, prompts: Sequence[Ids], expected: Sequence[Logits]
) -> Figure:
    """One graph's figure; `expected` are the checkpoint's logits (tokens, vocabulary) of every prompt."""
    divergence = Divergence()
    with cpu_form(folder, graph, model) as (form, changed):
        session = open_session(folder, form, model)
        for ids, rows in zip(prompts, expected, strict=True):
            for start, found in graph_logits(session, ids):
                _check_finite(graph, start, found)
                divergence.add(rows[start : start + len(found)], found)
        figure = divergence.figure(graph.file, changed)
        del session  # it maps the file that is about to go, which Windows would not let it
    if is_exact(folder, graph):
        _check_exact(figure)
    return figure


def _measured_prefill(
    folder: Path, prefill: Prefill, model: ModelShape, prompts: Sequence[Ids], expected: Sequence[Logits]
) -> Figure:
    """The figure of a graph for long prompts: its own logits, over weights derived as on a reader's machine."""
    divergence = Divergence()
    with TemporaryDirectory(ignore_cleanup_errors=True) as entry:
        write_entry(prefill, folder, Path(entry), threads=physical_cores() or 1)
        session = open_session(Path(entry), prefill.graph, model)
        for ids, rows in zip(prompts, expected, strict=True):
            for start, found in graph_logits(session, ids, decoded=0):
                _check_finite(prefill.graph, start, found)
                divergence.add(rows[start : start + len(found)], found)
        del session  # it maps the files that are about to go, which Windows would not let them
    return divergence.figure(prefill.graph.file)


def streamed_bytes(checkpoint: Checkpoint, shape: DecoderShape) -> int:
    """How many bytes `certify` reports in all: every matrix in float32, and one table of embedding and lm_head."""
    table = (shape.vocab_size, shape.hidden_size)
    matrices = [entry for entry in checkpoint.tensors.values() if len(entry.shape) > 1 and entry.shape != table]
    return 4 * (math.prod(table) + sum(math.prod(entry.shape) for entry in matrices))


def _decoder(family: str, weights: StreamedWeights, shape: DecoderShape) -> Decoder:
    if family not in DECODERS:
        raise CertificateError(
            f"{family} has no reference to hold a graph against, only {', '.join(DECODERS)}: "
            "export with --no-certificate"
        )
    return DECODERS[family](weights, shape)


def _check_finite(graph: Graph, start: int, found: np.ndarray) -> None:
    if not np.isfinite(found).all():
        raise CertificateError(
            f"{graph.file} gives logits that are not numbers, after token {start} of a prompt or soon after: "
            "the graph is wrong; report it with the checkpoint's name"
        )


def _check_exact(figure: Figure) -> None:
    if figure.max_relative_error > EXACT:
        raise CertificateError(
            f"{figure.graph} is off by {figure.max_relative_error:.1e} of the largest logit, expected at most "
            f"{EXACT:.0e} of float32 weights: the graph is wrong; report it with the checkpoint's name"
        )

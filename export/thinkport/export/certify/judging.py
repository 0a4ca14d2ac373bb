"""Which figures refuse an artifact: a wrong graph, logits that are no numbers, too little agreement.

Knows figures and graph files. Must not know how anything is measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from thinkport.export.errors import CertificateError
from thinkport.export.reference.logits import Logits
from thinkport.runtime.artifact.certificate import MIN_AGREEMENT, Figure, VectorFigure
from thinkport.runtime.artifact.manifest import Graph
from thinkport.runtime.artifact.verdict import Grade, verdict_of_graph

EXACT = 1e-3  # of the largest logit: ten times what a right float32 graph needs, far below what a wrong one shows
_UNROUNDED = {ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL}

Agreement = float | Grade
"""The least that is accepted: a mean correlation of logits, or a word of the verdict beside the default one."""


def is_exact(folder: Path, graph: Graph) -> bool:
    """Whether nothing in the graph is rounded below float32: neither weights nor the KV cache."""
    weights = ir.load(folder / graph.file).graph.initializers.values()
    return graph.kv.dtype == "float32" and all(weight.dtype in _UNROUNDED for weight in weights)


def check_finite(graph: Graph, prompt: str, found: Logits) -> None:
    """Refuse logits that are not numbers.

    Raises:
        CertificateError: the row holds NaN or infinity.
    """
    if not np.isfinite(found).all():
        why = "the graph is wrong; report it with the checkpoint's name"
        if graph.activations == "float16":
            why = "activations leave float16's range; leave this graph out, as --target cpu does"
        raise CertificateError(f"{graph.file} gives logits that are not numbers in the prompt {prompt}: {why}")


def judge(folder: Path, graphs: Sequence[Graph], figures: Sequence[Figure], least: Agreement) -> None:
    """Refuse graphs of float32 weights that compute something else than the checkpoint, and ones that agree too little.

    Raises:
        CertificateError: an error above `EXACT`, logits that correlate with the checkpoint's less than `least`, or a
            graph that is surely worse than that word.
    """
    files = {graph.file: graph for graph in graphs}
    for figure in figures:
        _check_exact(folder, files, figure, "logit")
        correlation = MIN_AGREEMENT if isinstance(least, Grade) else least
        if figure.correlation < correlation:
            raise CertificateError(
                f"{figure.graph} agrees with the checkpoint by {figure.correlation:.3f} (mean correlation of logits "
                f"over {figure.score.rows} positions), expected at least {correlation:g}: the recipe is too coarse for "
                "this checkpoint, or the graph is wrong; try a finer one (`thinkport recipes`) or lower --min-agreement"
            )
        if isinstance(least, Grade):
            _check_grade(figure, least)


def judge_vectors(folder: Path, graphs: Sequence[Graph], figures: Sequence[VectorFigure], least: float) -> None:
    """As `judge`, of graphs that embed, whose mean cosine is to be `least`.

    Raises:
        CertificateError: an error above `EXACT` of float32 weights, or a mean cosine below `least`.
    """
    files = {graph.file: graph for graph in graphs}
    for figure in figures:
        _check_exact(folder, files, figure, "number")
        if figure.cosine_mean < least:
            raise CertificateError(
                f"{figure.graph} agrees with the checkpoint by {figure.cosine_mean:.3f} (mean cosine similarity of "
                f"{figure.texts} texts' embeddings), expected at least {least:g}: the recipe is too coarse for this "
                "checkpoint, or the graph is wrong; try a finer one (`thinkport recipes`) or lower --min-agreement"
            )


def _check_exact(folder: Path, files: Mapping[str, Graph], figure: Figure | VectorFigure, largest: str) -> None:
    exact = figure.graph in files and is_exact(folder, files[figure.graph])
    if exact and figure.max_relative_error > EXACT:
        raise CertificateError(
            f"{figure.graph} is off by {figure.max_relative_error:.1e} of the largest {largest}, expected at most "
            f"{EXACT:.0e} of float32 weights: the graph is wrong; report it with the checkpoint's name"
        )


def _check_grade(figure: Figure, least: Grade) -> None:
    found = verdict_of_graph(figure)
    if not found.within(least):
        raise CertificateError(
            f"{figure.graph} is {found} (mean KL divergence {figure.kl_mean:.2g} nats over {figure.tokens} positions), "
            f"expected {least} at least: the recipe is too coarse for this checkpoint; try a finer one (`thinkport "
            "recipes`), or leave --min-agreement out"
        )

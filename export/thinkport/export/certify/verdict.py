"""What a certificate refuses. Knows figures, bounds and the types of a graph's weights."""

from pathlib import Path

import numpy as np
import onnx_ir as ir

from thinkport.export.errors import CertificateError
from thinkport.export.reference.logits import Logits
from thinkport.runtime.artifact.certificate import Figure
from thinkport.runtime.artifact.manifest import Graph

EXACT = 1e-3  # of the largest logit: ten times what a right float32 graph needs, far below what a wrong one shows
_UNROUNDED = {ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL}


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
        raise CertificateError(
            f"{graph.file} gives logits that are not numbers in the prompt {prompt}: the graph is wrong; report it "
            "with the checkpoint's name"
        )


def check_exact(figure: Figure) -> None:
    """Refuse a graph of float32 weights that computes something else than the checkpoint.

    Raises:
        CertificateError: an error above `EXACT`.
    """
    if figure.max_relative_error > EXACT:
        raise CertificateError(
            f"{figure.graph} is off by {figure.max_relative_error:.1e} of the largest logit, expected at most "
            f"{EXACT:.0e} of float32 weights: the graph is wrong; report it with the checkpoint's name"
        )


def check_agreement(figure: Figure, least: float) -> None:
    """Refuse a graph that agrees too little with its checkpoint.

    Raises:
        CertificateError: its logits correlate with the checkpoint's less than `least`.
    """
    if figure.correlation < least:
        raise CertificateError(
            f"{figure.graph} agrees with the checkpoint by {figure.correlation:.3f} (mean correlation of logits over "
            f"{figure.tokens} positions), expected at least {least:g}: the recipe is too coarse for this checkpoint, "
            "or the graph is wrong; try a finer recipe (`thinkport recipes`), or lower --min-agreement"
        )

"""Certifying, the whole way: right graphs get their figures, a wrong one is told, an int4 one is only measured."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinkport.deploy.goldens import read_goldens
from thinkport.export.certify import certify, streamed_bytes
from thinkport.export.certify.decoder import Qwen3Decoder
from thinkport.export.certify.prompts import golden_prompts
from thinkport.export.certify.reference import reference_logits
from thinkport.export.certify.streamed_weights import StreamedWeights
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.errors import CertificateError
from thinkport.export.families import DecoderShape, family_of
from thinkport.runtime.manifest import Certificate, Figure, Graph, ModelShape, read_manifest


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint: Callable[..., Path]) -> Checkpoint:
    return open_checkpoint(make_checkpoint())


@pytest.fixture
def artifact(checkpoint: Checkpoint, exported: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of the checkpoint's artifact with these settings, to be damaged at will."""

    def copy(**settings: Any) -> Path:
        return shutil.copytree(exported(checkpoint.folder, **settings), tmp_path / "artifact")

    return copy


def parts(checkpoint: Checkpoint, folder: Path) -> tuple[Graph, ModelShape, DecoderShape]:
    manifest = read_manifest(folder)
    return manifest.graphs[0], manifest.model, family_of(checkpoint.config).shape(checkpoint.config)


def certificate_of(checkpoint: Checkpoint, folder: Path) -> Certificate:
    graph, model, shape = parts(checkpoint, folder)
    return certify(folder, [graph], model, checkpoint, shape, advance=lambda _: None)


def figure_of(checkpoint: Checkpoint, folder: Path) -> Figure:
    (figure,) = certificate_of(checkpoint, folder).figures
    return figure


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_a_float32_graph_says_what_the_checkpoint_says(
    checkpoint: Checkpoint, artifact: Callable[..., Path], fuse: bool
) -> None:
    figure = figure_of(checkpoint, artifact(precision="fp32", fuse=fuse))
    assert (figure.graph, figure.top1_agreement) == ("cpu.onnx", 1)
    assert figure.tokens == sum(len(ids) for ids in golden_prompts(checkpoint, 320))
    assert figure.max_relative_error < 1e-5
    assert figure.kl_mean < 1e-8


def test_an_int4_graph_is_measured_and_not_judged(checkpoint: Checkpoint, artifact: Callable[..., Path]) -> None:
    figure = figure_of(checkpoint, artifact())
    assert figure.max_relative_error > 1e-3
    assert 0 < figure.kl_mean <= figure.kl_p95


def test_a_float32_graph_with_another_weight_is_refused(checkpoint: Checkpoint, artifact: Callable[..., Path]) -> None:
    folder = artifact(precision="fp32")
    weights = np.fromfile(folder / "weights.bin", np.float32)
    np.where(np.arange(len(weights)) % 100, weights, 0).astype(np.float32).tofile(folder / "weights.bin")
    with pytest.raises(CertificateError, match=r"off by .* the graph is wrong"):
        certificate_of(checkpoint, folder)
    assert not (folder / "goldens.safetensors").exists()


def test_a_graph_that_gives_nan_is_refused(checkpoint: Checkpoint, artifact: Callable[..., Path]) -> None:
    folder = artifact(precision="fp32")
    size = (folder / "weights.bin").stat().st_size
    np.full(size // 4, np.nan, np.float32).tofile(folder / "weights.bin")
    with pytest.raises(CertificateError, match="not numbers"):
        certificate_of(checkpoint, folder)


def test_a_family_without_a_reference_is_told_how_to_go_on(
    checkpoint: Checkpoint, artifact: Callable[..., Path]
) -> None:
    folder = artifact(precision="fp32")
    graph, model, shape = parts(checkpoint, folder)
    other = model.model_copy(update={"family": "other"})
    with pytest.raises(CertificateError, match="only qwen3: export with --no-certificate"):
        certify(folder, [graph], other, checkpoint, shape, advance=lambda _: None)


def test_goldens_hold_the_checkpoints_own_likeliest_tokens(
    checkpoint: Checkpoint, artifact: Callable[..., Path]
) -> None:
    folder = artifact(precision="fp32")
    certificate = certificate_of(checkpoint, folder)
    goldens = read_goldens(folder / certificate.goldens)
    assert sum(len(golden.ids) for golden in goldens) == certificate.figures[0].tokens
    assert all(golden.top_ids.shape == (len(golden.ids), 16) for golden in goldens)
    assert all((np.diff(golden.top_logprobs) <= 0).all() and golden.top_logprobs.max() < 0 for golden in goldens)


@pytest.mark.parametrize("tied", [True, False])
def test_progress_ends_where_it_was_said_to(make_checkpoint: Callable[..., Path], tied: bool) -> None:
    checkpoint = open_checkpoint(make_checkpoint(tie_word_embeddings=tied))
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    seen: list[int] = []
    decoder = Qwen3Decoder(StreamedWeights(checkpoint=checkpoint, advance=seen.append), shape)
    reference_logits(decoder, shape.layers, golden_prompts(checkpoint, shape.vocab_size))
    assert sum(seen) == streamed_bytes(checkpoint, shape)

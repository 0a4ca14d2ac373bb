"""Certifying, the whole way: right graphs get their figures, wrong ones are refused."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from thinkport.export.certify import certify
from thinkport.export.certify.prompts import MOST_TOKENS as RANDOM_ROWS
from thinkport.export.certify.prompts import golden_prompts
from thinkport.export.certify.saying import OWN_TOKENS
from thinkport.export.certify.texts import certificate_texts
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.errors import CertificateError
from thinkport.export.exporter import export
from thinkport.export.families import DecoderShape, family_of
from thinkport.export.families.dense.decoder import DenseDecoder
from thinkport.export.reference.logits import HELD_ROWS, ReferenceLogits, reference_logits
from thinkport.export.reference.streamed_weights import StreamedWeights, streamed_bytes
from thinkport.export.settings import ExportSettings
from thinkport.runtime.artifact.certificate import Certificate, Figure
from thinkport.runtime.artifact.goldens import read_goldens
from thinkport.runtime.artifact.manifest import Graph, ModelShape, read_manifest
from thinkport.runtime.artifact.verdict import Grade, verdict_of_graph


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
    return certify(folder, [graph], model, checkpoint, shape, min_agreement=0.5, advance=lambda _: None)


def figure_of(checkpoint: Checkpoint, folder: Path) -> Figure:
    return certificate_of(checkpoint, folder).figures[0]


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_a_float32_graph_says_what_the_checkpoint_says(
    checkpoint: Checkpoint, artifact: Callable[..., Path], fuse: bool
) -> None:
    figure = figure_of(checkpoint, artifact(precision="fp32", fuse=fuse))
    assert (figure.graph, figure.top1_agreement) == ("cpu.onnx", 1)
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    texts = [*golden_prompts(checkpoint, 320, 256), *certificate_texts(checkpoint, shape)]
    drawn = figure.by_kind["own replies"].tokens if figure.by_kind else 0
    assert 4 <= drawn <= 4 * OWN_TOKENS
    assert figure.tokens == drawn + sum(len(text.rows) for text in texts if text.kind)
    assert str(verdict_of_graph(figure)) == "close"
    assert figure.max_relative_error < 1e-5
    assert figure.kl_max < 1e-6
    assert figure.correlation > 0.99999
    assert figure.greedy_tokens == figure.greedy_asked == 48
    assert figure.perplexity is not None
    assert figure.perplexity.graph == pytest.approx(figure.perplexity.checkpoint, rel=1e-4)


def test_an_int4_graph_has_figures_of_its_own(checkpoint: Checkpoint, artifact: Callable[..., Path]) -> None:
    figure = figure_of(checkpoint, artifact())
    assert figure.max_relative_error > 1e-3
    assert 0 < figure.kl_mean <= figure.kl_p95 <= figure.kl_max
    assert 0.9 < figure.correlation < 1
    assert figure.top1_agreement <= figure.top5_agreement
    assert figure.quick_score.rows < figure.score.rows < figure.tokens
    assert figure.kl_low is not None
    assert figure.kl_high is not None
    assert figure.kl_low < figure.kl_mean < figure.kl_high


def test_graphs_over_the_weights_of_another_one_are_asked_less_and_say_so(
    checkpoint: Checkpoint, exported: Callable[..., Path]
) -> None:
    folder = exported(checkpoint.folder, targets=("cpu", "dml"), certificate=True)
    certificate = read_manifest(folder).certificate
    assert certificate is not None
    goldens = {golden.name: len(golden.rows) for golden in read_goldens(folder / certificate.goldens)}
    first, *others = certificate.figures
    assert (first.score.rows, first.prompts, first.greedy_asked) == (sum(goldens.values()), None, 48)
    for figure in others:
        assert figure.prompts is not None
        assert figure.score.rows == sum(goldens[name] for name in figure.prompts)
        assert figure.tokens == figure.score.rows - RANDOM_ROWS < first.tokens
        assert "own replies" not in (figure.by_kind or {})
        assert figure.quick_score.rows == first.quick_score.rows
        assert figure.perplexity is not None
        assert figure.greedy_asked == 24


def test_an_int4_graph_of_other_weights_is_refused(
    make_checkpoint: Callable[..., Path], artifact: Callable[..., Path]
) -> None:
    other = make_checkpoint()
    tensors = load_file(other / "model.safetensors")
    shuffled = {name: t[torch.randperm(len(t))] for name, t in tensors.items()}
    save_file(shuffled, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(CertificateError, match=r"agrees with the checkpoint by .* expected at least 0.5"):
        certificate_of(open_checkpoint(other), artifact())


@pytest.mark.parametrize(("least", "passes"), [(Grade.CLOSE, False), (Grade.USABLE, False), (Grade.DAMAGED, True)])
def test_a_word_of_the_verdict_is_a_floor_too(
    checkpoint: Checkpoint,
    artifact: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    least: Grade,
    passes: bool,
) -> None:
    monkeypatch.setattr("thinkport.runtime.artifact.verdict.CLOSE", 1e-9)  # noise is never far
    monkeypatch.setattr("thinkport.runtime.artifact.verdict.USABLE", 1e-8)
    folder = artifact()
    graph, model, shape = parts(checkpoint, folder)
    measured = folder, [graph], model, checkpoint, shape
    refusal = pytest.raises(CertificateError, match=rf"cpu.onnx is damaged.* expected {least} at least")
    with nullcontext() if passes else refusal:
        certify(*measured, min_agreement=least, advance=lambda _: None)


def test_replies_of_its_own_are_the_same_each_time(checkpoint: Checkpoint, artifact: Callable[..., Path]) -> None:
    folder = artifact()
    first, again = (figure_of(checkpoint, folder).by_kind for _ in range(2))
    assert first is not None
    assert again is not None
    assert first["own replies"] == again["own replies"]


def test_the_checkpoints_logits_are_held_a_group_at_a_time(checkpoint: Checkpoint) -> None:
    """The same logits as all at once, whatever the order."""
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    decoder = DenseDecoder(StreamedWeights(checkpoint=checkpoint, advance=lambda _: None), shape)
    ids = np.random.default_rng(0).integers(0, 320, (5, 200))
    texts = {str(at): (row, np.arange(at, 200, 1)) for at, row in enumerate(ids)}
    found = ReferenceLogits(decoder, shape.layers, texts)
    together = reference_logits(decoder, shape.layers, list(ids), [rows for _, rows in texts.values()])
    for name in ("0", "1", "2", "3", "4", "1"):
        np.testing.assert_allclose(found.of(name), together[int(name)], rtol=1e-4, atol=1e-4)
        assert sum(len(rows) for rows in found._held.values()) <= HELD_ROWS


def test_a_checkpoint_of_zeros_passes(make_checkpoint: Callable[..., Path], exported: Callable[..., Path]) -> None:
    folder = make_checkpoint()
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name: torch.zeros_like(t) for name, t in tensors.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    certificate = read_manifest(exported(folder, certificate=True)).certificate
    assert certificate is not None
    assert certificate.figures[0].correlation == 1


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


def test_goldens_hold_the_checkpoints_own_likeliest_tokens(
    checkpoint: Checkpoint, artifact: Callable[..., Path]
) -> None:
    folder = artifact(precision="fp32")
    certificate = certificate_of(checkpoint, folder)
    goldens = read_goldens(folder / certificate.goldens)
    assert sum(len(golden.rows) for golden in goldens) == certificate.figures[0].score.rows
    assert all(golden.top_ids.shape == (len(golden.rows), 16) for golden in goldens)
    assert all((np.diff(golden.top_logprobs) <= 0).all() and golden.top_logprobs.max() < 0 for golden in goldens)


def test_a_graph_in_bfloat16_is_measured_with_its_numbers_widened(
    checkpoint: Checkpoint, exported: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("thinkport.export.plans.HEADROOM", 1e6)  # as if activations left float16's range
    folder = tmp_path / "wide"
    settings = ExportSettings(checkpoint=str(checkpoint.folder), output=folder, targets=("dml", "cuda"))
    manifest = export(settings).manifest
    graphs = {graph.file: (graph.activations, graph.kv.dtype) for graph in manifest.graphs}
    assert graphs["cuda.onnx"] == ("bfloat16", "int8")
    assert graphs["dml.onnx"] == ("float32", "float32")
    assert manifest.certificate is not None
    figures = {figure.graph: figure for figure in manifest.certificate.figures}
    assert figures["cuda.onnx"].changed is not None
    assert figures["cuda.onnx"].changed.startswith(
        "Q/K norms taken out of attention and bfloat16 computed in float32 and"
    )
    assert figures["cuda.onnx"].kl_mean < 2 * figures["dml.onnx"].kl_mean + 0.02


@pytest.mark.parametrize("tied", [True, False])
def test_progress_ends_where_it_was_said_to(make_checkpoint: Callable[..., Path], tied: bool) -> None:
    checkpoint = open_checkpoint(make_checkpoint(tie_word_embeddings=tied))
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    seen: list[int] = []
    decoder = DenseDecoder(StreamedWeights(checkpoint=checkpoint, advance=seen.append), shape)
    prompts = golden_prompts(checkpoint, shape.vocab_size, shape.context_length)
    reference_logits(decoder, shape.layers, [prompt.ids for prompt in prompts])
    assert sum(seen) == streamed_bytes(checkpoint, shape.table)

"""Embeddings and rerank scores held against transformers: its pooled hidden states, and its softmax over yes and no."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.export.trace.checkpoints import narrow_checkpoint
from tests.search_checkpoints import embedding_checkpoint, reranker_checkpoint
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from thinkport.deploy.verification import verify
from thinkport.runtime import Model
from thinkport.runtime.artifact.manifest import Task, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BOUND = 1e-4
TEXTS = [
    "The sky is blue.",
    "a",
    "Die Brücke über den Fluss wurde 1905 gebaut und 1961 erneuert. " * 9,  # several steps of a prefill
    "def total(values):\n    return sum(values)",
]
QUERY = "Which colour has the sky?"


@pytest.fixture(scope="module", params=["nano", "wide", "tables of its own"])
def embedding(
    request: pytest.FixtureRequest,
    nano_embedding: Path,
    wide_qwen3: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    if request.param == "nano":
        return nano_embedding
    folder = tmp_path_factory.mktemp("search") / "embedding"
    if request.param == "wide":
        return embedding_checkpoint(wide_qwen3, folder)
    source = narrow_checkpoint(folder.with_name("narrow"), tie_word_embeddings=False)  # as the 8B, which has no lm_head
    return embedding_checkpoint(source, folder)


@pytest.fixture(scope="module", params=["nano", "wide"])
def reranker(
    request: pytest.FixtureRequest,
    nano_reranker: Path,
    wide_qwen3: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    if request.param == "nano":
        return nano_reranker
    folder = tmp_path_factory.mktemp("search") / "reranker"
    return reranker_checkpoint(wide_qwen3, folder)


@pytest.fixture(scope="module")
def embedder(embedding: Path, exported: Callable[..., Path]) -> Iterator[Model]:
    with Model.load(exported(embedding, precision="fp32")) as model:
        yield model


@pytest.fixture(scope="module")
def ranker(reranker: Path, exported: Callable[..., Path]) -> Iterator[Model]:
    with Model.load(exported(reranker, precision="fp32")) as model:
        yield model


def pooled(checkpoint: Path, texts: list[str]) -> NDArray[np.float32]:
    """The normalized hidden states behind the last tokens of one batch, padded on the left as the model card has it."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or "<|endoftext|>"
    model = AutoModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    assert batch.attention_mask.sum(1).unique().numel() > 1, "rows of one length"
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state[:, -1]
    return torch.nn.functional.normalize(hidden, dim=1).numpy()


def judged(checkpoint: Path, query: str, documents: list[str]) -> list[float]:
    """The scores as the model card computes them: logits of yes and no behind its prompt."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    answers = [tokenizer.convert_tokens_to_ids(word) for word in ("no", "yes")]
    system = (
        "Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the "
        'answer can only be "yes" or "no".'
    )
    asked = "Given a web search query, retrieve relevant passages that answer the query"
    found = []
    for document in documents:
        parts = [
            f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n",
            f"<Instruct>: {asked}\n<Query>: {query}\n<Document>: {document}",
            "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ]
        ids = [number for part in parts for number in tokenizer(part, add_special_tokens=False).input_ids]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1, answers]
        found.append(float(torch.log_softmax(logits, 0)[1].exp()))
    return found


def test_documents_and_queries_have_pytorchs_vectors(embedding: Path, embedder: Model) -> None:
    found = embedder.embed(TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), embedder.manifest.model.hidden_size)
    assert np.abs(found - pooled(embedding, TEXTS)).max() <= BOUND
    queries = embedder.embed(TEXTS, instruction="Find the same.")
    expected = pooled(embedding, [f"Instruct: Find the same.\nQuery:{text}" for text in TEXTS])
    assert np.abs(queries - expected).max() <= BOUND
    assert np.abs(queries - found).max() > BOUND  # an instruction says something


def test_ids_are_embedded_as_their_text(embedder: Model) -> None:
    ids = [embedder.tokenizer.encode(text) for text in TEXTS]
    np.testing.assert_allclose(embedder.embed(ids), embedder.embed(TEXTS), atol=1e-6)


def test_fewer_dimensions_are_the_first_ones_of_length_1(embedding: Path, embedder: Model) -> None:
    expected = torch.nn.functional.normalize(torch.from_numpy(pooled(embedding, TEXTS)[:, :32]), dim=1)
    found = embedder.embed(TEXTS, dimensions=32)
    assert np.abs(found - expected.numpy()).max() <= BOUND
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_scores_are_pytorchs(reranker: Path, ranker: Model) -> None:
    found = ranker.rerank(QUERY, TEXTS)
    assert np.abs(np.subtract(found, judged(reranker, QUERY, TEXTS))).max() <= BOUND
    assert ranker.rerank(QUERY, TEXTS[::-1]) == pytest.approx(found[::-1], abs=1e-6)


def test_the_graph_as_traced_gives_the_same_vectors(nano_embedding: Path, exported: Callable[..., Path]) -> None:
    with Model.load(exported(nano_embedding, precision="fp32", fuse=False)) as model:
        assert np.abs(model.embed(TEXTS) - pooled(nano_embedding, TEXTS)).max() <= BOUND


@pytest.fixture(scope="module")
def quantized_embedding(nano_embedding: Path, exported: Callable[..., Path]) -> Path:
    return exported(nano_embedding, recipe="accurate", certificate=True)


def test_a_quantized_artifact_points_where_the_checkpoint_points(
    nano_embedding: Path, quantized_embedding: Path
) -> None:
    with Model.load(quantized_embedding) as model:
        cosines = (model.embed(TEXTS) * pooled(nano_embedding, TEXTS)).sum(axis=1)
    print(f"cosines {cosines.min():.5f} to {cosines.max():.5f}")
    assert cosines.min() >= 0.998


def test_a_text_has_the_same_vector_whatever_was_embedded_before(quantized_embedding: Path) -> None:
    """In steps of other sizes, kernels that round activations would give another one."""
    with Model.load(quantized_embedding) as model:
        for instruction in (None, "Find it."):
            found = model.embed([*TEXTS, *TEXTS], instruction=instruction)
            alone = [model.embed([text], instruction=instruction)[0] for text in TEXTS]
            np.testing.assert_array_equal(found, [*alone, *alone])


def test_its_certificate_is_of_cosines_for_every_graph_and_of_no_logits(quantized_embedding: Path) -> None:
    manifest = read_manifest(quantized_embedding)
    assert manifest.task is Task.EMBEDDING
    assert manifest.certificate is not None
    assert manifest.certificate.figures == []
    files = {graph.file for graph in manifest.graphs}
    found = {figure.graph: figure for figure in manifest.certificate.vectors or ()}
    assert found.keys() == files
    assert all(0.998 <= figure.cosine_min <= figure.cosine_mean <= 1 + 1e-6 for figure in found.values())
    assert max(figure.cosine_mean for figure in found.values()) < 1 - 1e-6  # rounding shows
    assert all(graph.outputs[0].name == "last_hidden_state" for graph in manifest.graphs)
    assert {spec.shape[-1] for graph in manifest.graphs for spec in graph.outputs[:1]} == {256}
    assert not [name for name in manifest.files if "genai" in name]


def test_verify_holds_it_against_its_goldens_and_against_the_checkpoint(
    nano_embedding: Path, quantized_embedding: Path
) -> None:
    checks = verify(quantized_embedding, checkpoint=str(nano_embedding)).checks
    assert [check.name for check in checks if not check.passed] == []
    assert [check for check in checks if check.name == "cpu.onnx against the checkpoint" and "cosine" in check.detail]


def test_weights_of_another_checkpoint_fail_that_check(
    nano_embedding: Path, quantized_embedding: Path, tmp_path: Path
) -> None:
    other = narrow_checkpoint(tmp_path / "narrow", **json.loads((nano_embedding / "config.json").read_text()))
    checks = verify(quantized_embedding, checkpoint=str(embedding_checkpoint(other, tmp_path / "other"))).checks
    assert "cpu.onnx against the checkpoint" in [check.name for check in checks if not check.passed]


def test_a_quantized_reranker_scores_nearly_as_the_checkpoint(
    nano_reranker: Path, exported: Callable[..., Path]
) -> None:
    artifact = exported(nano_reranker, recipe="accurate", targets=("cpu",), certificate=True)
    manifest = read_manifest(artifact)
    assert manifest.task is Task.RERANK
    with Model.load(artifact) as model:
        apart = np.abs(np.subtract(model.rerank(QUERY, TEXTS), judged(nano_reranker, QUERY, TEXTS)))
    print(f"scores differ by {apart.max():.4f} at most")
    assert apart.max() <= 0.03
    assert manifest.certificate is not None
    scores = {figure.graph: figure for figure in manifest.certificate.scores or ()}
    assert scores.keys() == {figure.graph for figure in manifest.certificate.figures}
    assert all(0 < figure.error_mean <= figure.error_max <= 0.05 for figure in scores.values())
    assert all(figure.pairs == 16 and figure.in_order >= 0.8 for figure in scores.values())

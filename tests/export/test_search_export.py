"""Exports for the tasks of searching: what is refused before the long work, and what the report and the card say."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from thinkport.export import ExportReport, ExportSettings, UnsupportedModelError
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.preflight import check_export
from thinkport.export.view import show_report
from thinkport.runtime.artifact.manifest import Task, read_manifest
from thinkport.runtime.artifact.verdict import Grade
from thinkport.runtime.errors import InputError


def refused(checkpoint: Path, output: Path, **options: Any) -> None:
    settings = ExportSettings(checkpoint=str(checkpoint), output=output, **options)
    check_export(settings, open_checkpoint(checkpoint, task=settings.asked_task))


def test_a_word_of_the_verdict_is_no_floor_for_embeddings(nano_embedding: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--min-agreement close is about next tokens.*such as 0.98"):
        refused(nano_embedding, tmp_path / "a", min_agreement=Grade.CLOSE)
    refused(nano_embedding, tmp_path / "a", min_agreement=0.98)


@pytest.mark.parametrize("kind", ["nano_embedding", "nano_reranker"])
def test_what_has_no_replies_has_no_default_for_thinking(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(InputError, match="has no replies: leave out --think"):
        refused(request.getfixturevalue(kind), tmp_path / "a", enable_thinking=True)
    refused(request.getfixturevalue(kind), tmp_path / "a", enable_thinking=True, task="chat")


def test_a_family_without_known_rerankers_is_refused(narrow_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="no reranker with model_type 'llama' is known"):
        refused(narrow_llama, tmp_path / "a", task="rerank")


def test_an_unknown_task_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown task 'embed', expected one of: chat, embedding, rerank"):
        ExportSettings(checkpoint="x", output=tmp_path / "a", task="embed")


def test_a_chat_checkpoint_can_be_asked_to_embed(nano_checkpoint: Path, exported: Callable[..., Path]) -> None:
    manifest = read_manifest(exported(nano_checkpoint, precision="fp32", task=Task.EMBEDDING))
    assert manifest.embedding is not None
    assert (manifest.embedding.instruction, manifest.embedding.end_ids) == (None, [])


def shown(manifest: Any, folder: Path) -> str:
    out = io.StringIO()
    report = ExportReport(folder=folder, manifest=manifest, seconds={}, peak_memory=0, stops=[])
    show_report(report, Console(file=out, width=300))
    return out.getvalue()


def test_report_and_card_of_an_embedding_artifact_speak_of_vectors(
    nano_embedding: Path, exported: Callable[..., Path]
) -> None:
    folder = exported(nano_embedding, recipe="accurate", certificate=True)
    text, card = shown(read_manifest(folder), folder), (folder / "README.md").read_text(encoding="utf-8")
    assert "embedding: vectors of 256, 0 tokens before and 1 behind a text; instruction: Given a web search" in text
    assert "cpu against fp32" in text
    for told in (text, card):
        assert "mean cosine similarity 0.99" in told
        assert "KL" not in told
        assert "genai" not in told
    assert "pipeline_tag: feature-extraction" in card
    assert "| thinkport embed ." in card


def test_report_and_card_of_a_reranker_speak_of_scores(nano_reranker: Path, exported: Callable[..., Path]) -> None:
    folder = exported(nano_reranker, recipe="accurate", targets=("cpu",), certificate=True)
    text, card = shown(read_manifest(folder), folder), (folder / "README.md").read_text(encoding="utf-8")
    assert "rerank: ids 513 and" in text
    for told in (text, card):
        assert "scores of 16 pairs differ by" in told
    assert "pipeline_tag: text-ranking" in card
    assert '| thinkport rerank . "' in card

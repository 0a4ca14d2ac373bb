"""What a checkpoint is for is read from the files beside its weights; what can't be embedded so is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.search_checkpoints import NANO, QUERY, embedding_checkpoint, reranker_checkpoint, write_json

from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.checkpoint.purpose import embedding_of, task_of
from thinkport.export.checkpoint.tokenizer_files import tokenizer_of
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families import family_of, shape_of
from thinkport.runtime.artifact.manifest import Task


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    return embedding_checkpoint(NANO, tmp_path / "embedding")


def test_a_chat_checkpoint_is_for_chats() -> None:
    assert task_of(NANO, None) is Task.CHAT


def test_pooling_beside_the_weights_makes_an_embedding_checkpoint_of_bare_names(embedding: Path) -> None:
    opened = open_checkpoint(embedding)
    assert opened.task is Task.EMBEDDING
    assert {name.partition(".")[0] for name in opened.tensors} == {"model"}
    shape = shape_of(opened)
    family_of(opened.config).check_weights(opened.tensors, shape)
    assert not shape.head


def test_how_it_embeds_is_read_from_its_prompts_and_its_tokenizer(embedding: Path) -> None:
    found = embedding_of(embedding, tokenizer_of(open_checkpoint(embedding)), 256)
    assert (found.start_ids, found.end_ids) == ([], [503])
    assert found.prompt == "Instruct: {instruction}\nQuery:"
    assert found.prompt.replace("{instruction}", found.instruction or "") == QUERY


def test_a_card_that_names_text_ranking_makes_a_reranker(tmp_path: Path) -> None:
    folder = reranker_checkpoint(NANO, tmp_path / "reranker")
    assert task_of(folder, None) is Task.RERANK
    assert task_of(folder, Task.CHAT) is Task.CHAT


def test_a_task_that_is_asked_for_wins(embedding: Path) -> None:
    assert task_of(embedding, Task.CHAT) is Task.CHAT
    assert task_of(NANO, Task.EMBEDDING) is Task.EMBEDDING


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("1_Pooling/config.json", {"pooling_mode_lasttoken": False, "pooling_mode_mean_tokens": True}, "mean_tokens"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": True}, "pools by lasttoken and mean_tokens"),
        ("1_Pooling/config.json", {"pooling_mode_lasttoken": False, "pooling_mode": "cls"}, "pools by cls"),
    ],
)
def test_other_pooling_is_refused(embedding: Path, name: str, change: dict[str, Any], told: str) -> None:
    write_json(embedding / name, json.loads((embedding / name).read_text()) | change)
    with pytest.raises(UnsupportedModelError, match=told):
        task_of(embedding, None)


def test_the_newer_spelling_of_pooling_is_read(embedding: Path) -> None:
    write_json(embedding / "1_Pooling" / "config.json", {"embedding_dimension": 256, "pooling_mode": "lasttoken"})
    assert task_of(embedding, None) is Task.EMBEDDING


def added_module(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    write_json(folder / "modules.json", [*modules, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}])


def lost_config(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").unlink()


def broken_list(folder: Path) -> None:
    (folder / "modules.json").write_text("{")


def leading_out(folder: Path) -> None:
    text = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text(text.replace("1_Pooling", "../1_Pooling"))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (added_module, "has the module Dense behind the model"),
        (lost_config, "no 1_Pooling/config.json"),
        (broken_list, "can't be read as a list of modules"),
        (leading_out, "isn't a folder of the checkpoint"),
    ],
)
def test_modules_that_cannot_be_followed_are_refused(
    embedding: Path, damage: Callable[[Path], None], told: str
) -> None:
    damage(embedding)
    with pytest.raises((UnsupportedModelError, CheckpointError), match=told):
        task_of(embedding, None)


def test_a_prompt_for_queries_that_takes_no_instruction_is_refused(embedding: Path) -> None:
    write_json(embedding / "config_sentence_transformers.json", {"prompts": {"query": "query: "}})
    with pytest.raises(UnsupportedModelError, match="the prompt 'query: ' for queries"):
        embedding_of(embedding, tokenizer_of(open_checkpoint(embedding)), 256)


def test_a_reranker_needs_a_token_for_each_answer() -> None:
    opened = open_checkpoint(NANO, task=Task.RERANK)
    with pytest.raises(CheckpointError, match="tokens of 'yes', expected one"):
        family_of(opened.config).reranking(tokenizer_of(opened))

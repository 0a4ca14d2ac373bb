"""The certificate's texts are long enough, of several kinds, and none that anything was calibrated on."""

import json
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from thinkport.export.certify import prompts
from thinkport.export.certify.texts import MOST_TOKENS, asked_questions, certificate_texts
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.families import family_of

RUN = 7  # words in a row that two sets of texts may not share


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint: Callable[..., Path]) -> Checkpoint:
    return open_checkpoint(make_checkpoint(num_hidden_layers=1, max_position_embeddings=2048))


def strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value, names of fields left out."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from strings(inner)


def runs(texts: list[str]) -> set[tuple[str, ...]]:
    """Words in a row, and letters in a row where a language has no spaces."""
    found = set()
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        found |= {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}
        letters = "".join(re.findall(r"[^\x00-\u024f\s]+", text))
        found |= {tuple(letters[at : at + RUN]) for at in range(len(letters) - RUN + 1)}
    return found


def written(folder: str) -> dict[str, list[str]]:
    """The texts of each JSON file of a room, by the file's name."""
    return {
        entry.name: [*strings(json.loads(entry.read_text("utf-8")))]
        for entry in files(f"thinkport.export.{folder}").iterdir()
        if entry.name.endswith(".json")
    }


def test_no_text_that_is_reported_on_is_one_that_was_calibrated_or_tuned_on() -> None:
    calibrating = written("calibrate")
    reporting = written("certify") | {"goldens": [*strings([prompts._TEXTS, [*prompts._CHATS.values()]])]}
    assert "texts.json" in calibrating
    for name, texts in calibrating.items():
        for other, reported in reporting.items():
            assert len(runs(texts)) > 50
            assert not runs(texts) & runs(reported), f"{name} and {other} share a text"


def test_the_sets_for_calibrating_and_tuning_share_nothing() -> None:
    sets = [runs(texts) for texts in written("calibrate").values()]
    assert sum(map(len, sets)) == len(set().union(*sets))


def test_the_search_for_shared_texts_finds_one() -> None:
    text = "Alle Boote liegen heute wegen des Sturms im Hafen."
    assert runs([text]) & runs([f"Sie sagte: {text}"])
    assert runs(["雨停以后孩子们跑到河边"]) & runs(["后来雨停以后孩子们跑到河边放船"])


def test_texts_are_of_every_kind_and_bounded(checkpoint: Checkpoint) -> None:
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    found = certificate_texts(checkpoint, shape)
    assert {text.kind for text in found} == {"prose", "code", "maths", "chat"}  # this template writes no thoughts
    assert {text.language for text in found} == {"english", "german", None}
    assert all(len(text.ids) <= MOST_TOKENS and len(text.rows) == len(text.ids) - 1 for text in found)
    assert 1100 <= sum(len(text.rows) for text in found) <= 2500


def test_thoughts_are_a_kind_of_their_own_where_the_template_writes_them(nano_checkpoint: Path) -> None:
    opened = open_checkpoint(nano_checkpoint)
    found = certificate_texts(opened, family_of(opened.config).shape(opened.config))
    assert {text.kind for text in found} == {"prose", "code", "maths", "chat", "thinking"}


def test_every_other_question_is_thought_about_by_a_model_that_can(checkpoint: Checkpoint) -> None:
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    assert [one.thinking for one in asked_questions(checkpoint, shape, can_think=True)] == [True, False, True, False]
    assert not any(one.thinking for one in asked_questions(checkpoint, shape, can_think=False))

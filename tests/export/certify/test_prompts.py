"""The prompts are few, the same each time, and in the checkpoint's own words."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.certify.prompts import (
    GREEDY,
    LONG_ROWS,
    LONG_TOKENS,
    MOST_TOKENS,
    golden_prompts,
)
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.errors import CheckpointError
from thinkport.runtime.prompt.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint: Callable[..., Path]) -> Checkpoint:
    return open_checkpoint(make_checkpoint(num_hidden_layers=1))


def prompts_of(checkpoint: Checkpoint, context: int = 2048, vocabulary: int = 320) -> list[MeasuredText]:
    return golden_prompts(checkpoint, vocabulary, context)


def test_prompts_are_the_same_each_time(checkpoint: Checkpoint) -> None:
    for first, second in zip(prompts_of(checkpoint), prompts_of(checkpoint), strict=True):
        assert first.name == second.name
        np.testing.assert_array_equal(first.ids, second.ids)


def test_no_prompt_is_longer_than_its_bound_or_leaves_the_vocabulary(checkpoint: Checkpoint) -> None:
    prompts = prompts_of(checkpoint)
    for prompt in prompts[:-1]:
        assert prompt.ids.dtype == np.int64
        assert 0 < len(prompt.ids) <= MOST_TOKENS
    assert max(prompt.ids.max() for prompt in prompts) < 320


def test_the_long_one_is_last_and_compared_at_its_end(checkpoint: Checkpoint) -> None:
    long = prompts_of(checkpoint)[-1]
    assert (len(long.ids), len(long.rows), long.rows[-1]) == (LONG_TOKENS, LONG_ROWS, LONG_TOKENS - 1)
    assert len(prompts_of(checkpoint, context=100)[-1].ids) == 50


def test_languages_code_mathematics_and_both_thinking_modes_are_asked(checkpoint: Checkpoint) -> None:
    names = {prompt.name[3:] for prompt in prompts_of(checkpoint)}
    assert names > {"chat-thinking", "chat-answering", "chinese", "arabic", "german", "code", "mathematics", "long"}


def test_the_prompts_that_are_continued_exist(checkpoint: Checkpoint) -> None:
    assert {prompt.name[3:] for prompt in prompts_of(checkpoint)} > set(GREEDY)


def test_chats_are_in_the_checkpoints_template_and_tokens(checkpoint: Checkpoint) -> None:
    tokenizer = Tokenizer.from_file(checkpoint.folder / "tokenizer.json")
    first = prompts_of(checkpoint)[0].ids
    assert tokenizer.decode(first.tolist()).startswith("<|im_start|>user\nHow many letters r")
    assert first[0] == tokenizer.added["<|im_start|>"]


def test_a_tokenizer_of_another_model_is_refused(checkpoint: Checkpoint) -> None:
    largest = max(json.loads((checkpoint.folder / "tokenizer.json").read_text())["added_tokens"], key=lambda t: t["id"])
    with pytest.raises(CheckpointError, match="belong to different models"):
        prompts_of(checkpoint, vocabulary=largest["id"] - 3)

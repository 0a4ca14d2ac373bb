"""The prompts are few, short, the same each time, and in the checkpoint's own words."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thinkport.export.certify.prompts import MOST_TOKENS, golden_prompts
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.errors import CheckpointError
from thinkport.runtime.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint: Callable[..., Path]) -> Checkpoint:
    return open_checkpoint(make_checkpoint(num_hidden_layers=1))


def test_prompts_are_the_same_each_time(checkpoint: Checkpoint) -> None:
    for first, second in zip(golden_prompts(checkpoint, 320), golden_prompts(checkpoint, 320), strict=True):
        np.testing.assert_array_equal(first, second)


def test_no_prompt_is_longer_than_the_bound_or_leaves_the_vocabulary(checkpoint: Checkpoint) -> None:
    prompts = golden_prompts(checkpoint, 320)
    assert len(prompts) == 4
    assert all(ids.dtype == np.int64 and 0 < len(ids) <= MOST_TOKENS and ids.max() < 320 for ids in prompts)


def test_chats_are_in_the_checkpoints_template_and_tokens(checkpoint: Checkpoint) -> None:
    tokenizer = Tokenizer.from_file(checkpoint.folder / "tokenizer.json")
    first = golden_prompts(checkpoint, 320)[0]
    assert tokenizer.decode(first.tolist()).startswith("<|im_start|>user\nHow many letters r")
    assert first[0] == tokenizer.added["<|im_start|>"]


def test_a_tokenizer_of_another_model_is_refused(checkpoint: Checkpoint) -> None:
    largest = max(json.loads((checkpoint.folder / "tokenizer.json").read_text())["added_tokens"], key=lambda t: t["id"])
    with pytest.raises(CheckpointError, match="belong to different models"):
        golden_prompts(checkpoint, largest["id"] - 3)

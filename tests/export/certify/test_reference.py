"""The streamed forward pass says what transformers' own model says, whatever the blocks it reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.export.trace.checkpoints import LLAMA, MIXTURE, QWEN2, narrow_checkpoint
from transformers import AutoModelForCausalLM

from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.families import family_of
from thinkport.export.reference.logits import Ids, Logits, reference_logits
from thinkport.export.reference.streamed_weights import BLOCK_BYTES, StreamedWeights

YARN = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
}
LENGTHS = (1, 37, 90)
MakeCheckpoint = Callable[..., Path]


def prompts() -> list[Ids]:
    return [np.random.default_rng().integers(0, 320, length) for length in LENGTHS]


def streamed(checkpoint: Checkpoint, asked: list[Ids], block_bytes: int = BLOCK_BYTES) -> list[Logits]:
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    weights = StreamedWeights(checkpoint=checkpoint, advance=lambda _: None, block_bytes=block_bytes)
    return reference_logits(family_of(checkpoint.config).decoder(weights, shape), shape.layers, asked)


@torch.inference_mode()
def from_transformers(checkpoint: Checkpoint, ids: Ids) -> Logits:
    model = AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    logits: Logits = model(torch.from_numpy(ids)[None]).logits[0].numpy()
    return logits


@pytest.mark.parametrize(
    "changes",
    [{}, {"tie_word_embeddings": False}, {"rope_parameters": YARN}, {"dtype": "bfloat16"}],
    ids=["tied", "untied", "yarn", "bf16"],
)
def test_logits_are_those_of_transformers(make_checkpoint: MakeCheckpoint, changes: dict[str, Any]) -> None:
    checkpoint = open_checkpoint(make_checkpoint(**changes))
    asked = prompts()
    for ids, found in zip(asked, streamed(checkpoint, asked), strict=True):
        expected = from_transformers(checkpoint, ids)
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    "config",
    [
        LLAMA,
        LLAMA | {"tie_word_embeddings": False},
        LLAMA | {"num_key_value_heads": None},
        LLAMA | LLAMA3,
        QWEN2,
        QWEN2 | {"tie_word_embeddings": True},
        MIXTURE,
        MIXTURE | {"norm_topk_prob": False, "mlp_only_layers": [2]},
    ],
)
def test_another_familys_logits_are_those_of_transformers(tmp_path: Path, config: dict[str, Any]) -> None:
    checkpoint = open_checkpoint(narrow_checkpoint(tmp_path / "checkpoint", **config))
    asked = prompts()
    for ids, found in zip(asked, streamed(checkpoint, asked), strict=True):
        expected = from_transformers(checkpoint, ids)
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_blocks_of_a_few_rows_give_the_same_logits(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = open_checkpoint(make_checkpoint())
    asked = prompts()
    for small, whole in zip(streamed(checkpoint, asked, 5000), streamed(checkpoint, asked), strict=True):
        np.testing.assert_allclose(small, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_a_prompt_is_not_touched_by_those_beside_it(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = open_checkpoint(make_checkpoint())
    asked = prompts()
    alone = streamed(checkpoint, asked[1:2])[0]
    np.testing.assert_allclose(streamed(checkpoint, asked)[1], alone, rtol=0, atol=1e-5 * np.abs(alone).max())


def test_no_block_is_larger_than_the_bound(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = open_checkpoint(make_checkpoint())
    seen: list[int] = []
    weights = StreamedWeights(checkpoint=checkpoint, advance=seen.append, block_bytes=5000)
    weights.linear("model.layers.0.mlp.down_proj.weight", torch.ones(1, 384))
    assert max(seen) <= 5000
    assert sum(seen) == 4 * 256 * 384

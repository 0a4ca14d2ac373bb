"""Rotary tables, held against the ones that transformers computes."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

from thinkport.export.families import cos_sin_tables, family_of, inv_freq_and_scaling

QWEN3 = family_of({"model_type": "qwen3"})

SCALINGS: list[dict[str, Any]] = [
    {"rope_type": "default"},
    {"rope_type": "linear", "factor": 3.0},
    {"rope_type": "yarn", "factor": 1.25, "original_max_position_embeddings": 32768},
    {"rope_type": "yarn", "factor": 5.0, "original_max_position_embeddings": 8192, "truncate": False, "beta_fast": 16},
    {"rope_type": "yarn", "factor": 1.0, "attention_factor": 1.3},
    {
        "rope_type": "yarn",
        "factor": 2.0,
        "original_max_position_embeddings": 20480,
        "mscale": 0.7,
        "mscale_all_dim": 1.2,
    },
    {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
]


@pytest.mark.parametrize("theta", [1e4, 1e6, 5e6])
@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda scaling: str(scaling["rope_type"]))
def test_frequencies_and_tables_are_those_of_transformers(scaling: dict[str, Any], theta: float) -> None:
    config = Qwen3Config(
        max_position_embeddings=40960,
        head_dim=128,
        num_hidden_layers=1,
        tie_word_embeddings=True,
        rope_parameters={**scaling, "rope_theta": theta},
    )
    shape = QWEN3.shape(config.to_dict())
    reference = Qwen3RotaryEmbedding(config)
    frequencies, factor = inv_freq_and_scaling(shape)
    assert frequencies.dtype == np.float32
    np.testing.assert_allclose(frequencies, reference.inv_freq.numpy(), rtol=3e-7)
    assert factor == pytest.approx(reference.attention_scaling)
    ours = cos_sin_tables(shape, positions=4096)
    theirs = reference(torch.zeros(1), torch.arange(4096)[None])
    for table, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(table, expected[0, :, :64].numpy(), atol=1e-5)


def test_tables_span_the_context_by_default() -> None:
    config = Qwen3Config(max_position_embeddings=64, num_hidden_layers=1).to_dict()
    cos, sin = cos_sin_tables(QWEN3.shape(config))
    assert cos.shape == sin.shape == (64, 64)
    assert cos.dtype == sin.dtype == np.float32
    assert (cos[0] == 1).all()
    assert (sin[0] == 0).all()

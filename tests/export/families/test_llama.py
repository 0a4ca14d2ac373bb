"""Llama's configurations: what they leave out is filled in, what the export can't express is refused by name."""

from typing import Any

import numpy as np
import pytest

from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families import Rope, family_of

LLAMA = family_of({"model_type": "llama"})
CONFIG: dict[str, Any] = {
    "attention_bias": False,
    "head_dim": 48,
    "hidden_act": "silu",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 100000.0,
    "tie_word_embeddings": True,
    "vocab_size": 49152,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def without(*keys: str) -> dict[str, Any]:
    return {name: value for name, value in CONFIG.items() if name not in keys}


def test_a_configuration_gives_its_sizes() -> None:
    shape = LLAMA.shape(CONFIG)
    assert (shape.layers, shape.hidden_size, shape.heads, shape.kv_heads, shape.head_dim) == (30, 576, 9, 3, 48)
    assert (shape.intermediate_size, shape.vocab_size, shape.context_length) == (1536, 49152, 8192)
    assert (shape.tied, shape.rms_eps, shape.head_norms, shape.rope) == (True, 1e-5, False, Rope(theta=1e5))


@pytest.mark.parametrize("absent", [{}, {"num_key_value_heads": None, "head_dim": None, "tie_word_embeddings": None}])
def test_what_older_configurations_leave_out_is_filled_in(absent: dict[str, Any]) -> None:
    """As Llama 2's, which name neither KV heads of their own nor theta."""
    found = LLAMA.shape(without("num_key_value_heads", "head_dim", "tie_word_embeddings", "rope_theta") | absent)
    assert (found.kv_heads, found.head_dim, found.tied, found.rope.theta) == (9, 64, False, 1e4)


def test_llama_3s_scaling_is_read() -> None:
    found = LLAMA.shape(CONFIG | {"rope_scaling": LLAMA3}).rope
    assert (found.kind, found.factor, found.low_freq_factor, found.high_freq_factor) == ("llama3", 8.0, 1.0, 4.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mlp_bias": True}, "mlp_bias is true"),
        ({"attention_bias": True}, "attention_bias is true"),
        ({"pretraining_tp": 2}, "pretraining_tp is 2: only 1 is supported"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu': only silu"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope scaling 'dynamic' is not supported"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "rope scaling 'longrope' is not supported"),
    ],
)
def test_what_the_export_can_not_express_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        LLAMA.shape(CONFIG | change)


def test_a_width_that_heads_do_not_divide_needs_a_head_dim() -> None:
    assert LLAMA.shape(CONFIG | {"hidden_size": 580}).head_dim == 48
    with pytest.raises(CheckpointError, match="9 attention heads can't share a hidden_size of 580 evenly"):
        LLAMA.shape(without("head_dim") | {"hidden_size": 580})


def test_a_layer_has_no_norms_on_its_heads() -> None:
    names = LLAMA.expected_tensors(LLAMA.shape(CONFIG))
    assert not [name for name in names if "q_norm" in name or "k_norm" in name]
    assert len([name for name in names if LLAMA.role(name) == "norm"]) == 2 * 30 + 1


def test_keys_are_divided_by_the_rows_of_their_projection() -> None:
    shape = LLAMA.shape(CONFIG)
    divisor = np.arange(1, 3 * 48 + 1, dtype=np.float32).reshape(3, 48)
    found = LLAMA.key_divisors(3, divisor, shape)
    query, key = found["model.layers.3.self_attn.q_proj.weight"], found["model.layers.3.self_attn.k_proj.weight"]
    assert (len(query), len(key), len(found)) == (shape.q_size, shape.kv_size, 2)
    np.testing.assert_allclose(query.reshape(3, 3, 48) * divisor[:, None], 1, rtol=1e-6)
    np.testing.assert_array_equal(key.reshape(3, 48), divisor)


def test_both_modes_sample_as_the_checkpoint_says() -> None:
    published = LLAMA.presets(None)
    assert published.thinking == published.answering
    assert (published.thinking.temperature, published.thinking.top_p, published.thinking.top_k) == (0.6, 0.9, 0)
    own = LLAMA.presets({"temperature": 0.2, "top_k": 40}).answering
    assert (own.temperature, own.top_p, own.top_k) == (0.2, 0.9, 40)
    assert LLAMA.presets({"do_sample": False}).answering.temperature == 0
    with pytest.raises(CheckpointError, match="top_p is 0"):
        LLAMA.presets({"top_p": 0})

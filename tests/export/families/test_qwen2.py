"""Qwen2's configurations and sampling: biases are its own, windows are refused by name."""

from typing import Any

import numpy as np
import pytest

from thinkport.export.errors import UnsupportedModelError
from thinkport.export.families import Rope, family_of

QWEN2 = family_of({"model_type": "qwen2"})
DISTILLED: dict[str, Any] = {
    "hidden_act": "silu",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "max_position_embeddings": 131072,
    "max_window_layers": 21,
    "model_type": "qwen2",
    "num_attention_heads": 12,
    "num_hidden_layers": 28,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "use_mrope": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}


def test_a_configuration_gives_its_sizes() -> None:
    shape = QWEN2.shape(DISTILLED)
    assert (shape.layers, shape.hidden_size, shape.heads, shape.kv_heads, shape.head_dim) == (28, 1536, 12, 2, 128)
    assert (shape.intermediate_size, shape.vocab_size, shape.context_length) == (8960, 151936, 131072)
    assert (shape.tied, shape.rms_eps, shape.head_norms, shape.qkv_bias) == (False, 1e-6, False, True)
    assert shape.rope == Rope(theta=1e4)


def test_a_layer_has_three_biases_which_are_never_rounded() -> None:
    shape = QWEN2.shape(DISTILLED)
    tensors = QWEN2.expected_tensors(shape)
    biases = {name: size for name, size in tensors.items() if name.startswith("model.layers.3.") and "bias" in name}
    assert biases == {
        f"model.layers.3.self_attn.{part}_proj.bias": (size,) for part, size in (("q", 1536), ("k", 256), ("v", 256))
    }
    assert {QWEN2.role(name) for name in biases} == {"bias"}
    assert not [name for name in tensors if "q_norm" in name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_sliding_window": True}, r"use_sliding_window is true \(a window of 4096\)"),
        ({"layer_types": ["sliding_attention"] * 28}, "layer_types has sliding_attention"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu': only silu"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope scaling 'dynamic' is not supported"),
    ],
)
def test_what_the_export_can_not_express_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        QWEN2.shape(DISTILLED | change)


def test_keys_are_divided_by_the_rows_of_their_projection_and_of_its_bias() -> None:
    shape = QWEN2.shape(DISTILLED)
    divisor = np.arange(1, shape.kv_size + 1, dtype=np.float32).reshape(-1, 128)
    found = QWEN2.key_divisors(3, divisor, shape)
    assert len(found) == 4
    for part, size in (("q", shape.q_size), ("k", shape.kv_size)):
        weight, bias = (found[f"model.layers.3.self_attn.{part}_proj.{kind}"] for kind in ("weight", "bias"))
        assert len(weight) == size
        np.testing.assert_array_equal(weight, bias)


def test_a_checkpoint_that_names_values_is_not_mixed_with_the_published_ones() -> None:
    published = QWEN2.presets(None)
    assert published.thinking == published.answering
    assert (published.answering.temperature, published.answering.top_k) == (0.7, 20)
    assert published.answering.repetition_penalty == 1.05
    distilled = QWEN2.presets({"do_sample": True, "temperature": 0.6, "top_p": 0.95, "eos_token_id": 5}).thinking
    assert (distilled.temperature, distilled.top_p, distilled.top_k) == (0.6, 0.95, 0)
    assert distilled.repetition_penalty == 1
    assert QWEN2.presets({"eos_token_id": 5}) == published

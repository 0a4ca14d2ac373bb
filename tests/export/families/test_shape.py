"""Configurations: both spellings read alike, and what can't be expressed is refused by its name."""

from typing import Any

import pytest

from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families import Rope, family_of

CLASSIC: dict[str, Any] = {  # as Qwen3-0.6B was published
    "attention_bias": False,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "max_window_layers": 28,
    "model_type": "qwen3",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
QWEN3 = family_of(CLASSIC)
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in CLASSIC.items() if name != key}


def test_a_published_configuration_gives_its_sizes() -> None:
    shape = QWEN3.shape(CLASSIC)
    assert (shape.layers, shape.hidden_size, shape.heads, shape.kv_heads) == (28, 1024, 16, 8)
    assert (shape.q_size, shape.kv_size, shape.tied, shape.context_length) == (2048, 1024, True, 40960)
    assert shape.rope == Rope(theta=1e6)


def test_head_dim_is_read_and_never_derived() -> None:
    assert QWEN3.shape(CLASSIC).head_dim == 128  # and not 1024 / 16
    with pytest.raises(CheckpointError, match=r"config.json lacks head_dim; expected a whole number above 0"):
        QWEN3.shape(without("head_dim"))


def test_the_newer_spelling_of_the_rotary_parameters_reads_alike() -> None:
    newer = without("rope_theta") | {"rope_parameters": {"rope_theta": 1000000, "rope_type": "default"}}
    newer |= {"layer_types": ["full_attention"] * 28}
    assert QWEN3.shape(newer) == QWEN3.shape(CLASSIC)


@pytest.mark.parametrize("key", ["rope_type", "type"])
def test_yarn_reads_alike_in_every_spelling(key: str) -> None:
    scaling = {key: "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    expected = Rope(theta=1e6, kind="yarn", factor=4.0, original_context=32768)
    assert QWEN3.shape(CLASSIC | {"rope_scaling": scaling}).rope == expected
    newer = {"rope_parameters": {**scaling, "rope_theta": 1000000}}
    assert QWEN3.shape(without("rope_theta") | newer).rope == expected


def test_yarn_without_an_original_length_was_trained_at_the_context_of_the_configuration() -> None:
    scaling = {"rope_type": "yarn", "factor": 2.0}
    assert QWEN3.shape(CLASSIC | {"rope_scaling": scaling}).rope.original_context == 40960


def test_yarn_lengthens_the_context_to_its_factor_times_the_original_one() -> None:
    """Qwen3's published recipe for long texts: max_position_embeddings stays at 40960."""
    assert QWEN3.shape(CLASSIC | {"rope_scaling": YARN}).context_length == 131072
    longer = CLASSIC | {"rope_scaling": YARN, "max_position_embeddings": 200000}
    assert QWEN3.shape(longer).context_length == 200000


def test_a_window_size_with_the_switch_off_is_no_window() -> None:
    assert QWEN3.shape(CLASSIC | {"sliding_window": 4096}) == QWEN3.shape(CLASSIC)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention_bias": True}, "attention_bias is true"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu': only silu"),
        ({"use_sliding_window": True, "sliding_window": 4096}, r"use_sliding_window is true \(a window of 4096\)"),
        ({"layer_types": ["full_attention", "sliding_attention"] * 14}, "layer_types has sliding_attention"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope scaling 'dynamic' is not supported"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "rope scaling 'longrope' is not supported"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, r"differ by layer type \(full_attention\)"),
        ({"rope_scaling": YARN | {"partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5"),
    ],
)
def test_what_the_export_can_not_express_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        QWEN3.shape(CLASSIC | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": "28"}, "num_hidden_layers is '28'; expected a whole number above 0"),
        ({"vocab_size": 0}, "vocab_size is 0; expected a whole number above 0"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps is -1.0; expected a number above 0"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1; expected true or false"),
        ({"num_key_value_heads": 3}, "16 attention heads can't share 3 key-value heads evenly"),
        ({"head_dim": 127}, "head_dim is 127; rotary embedding needs an even one"),
        ({"layer_types": ["full_attention"] * 27}, "layer_types lists 27 layers and num_hidden_layers is 28"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "lacks factor"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "lacks low_freq_factor"),
        ({"rope_theta": None}, "lacks rope_theta"),
        ({"max_position_embeddings": 10**9}, "the context 1000000000 positions; expected at most 2097152"),
        ({"rope_scaling": YARN | {"factor": float("inf")}}, "the context inf positions; expected at most 2097152"),
        ({"rope_scaling": "yarn"}, "rotary parameters are 'yarn'; expected an object"),
    ],
)
def test_a_value_that_can_not_be_is_refused_with_what_was_expected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        QWEN3.shape(CLASSIC | change)


def test_the_family_is_found_by_model_type() -> None:
    family = family_of(CLASSIC)
    assert family.model_type == "qwen3"
    assert family_of({"model_type": "llama"}).model_type == "llama"


@pytest.mark.parametrize("name", ["qwen3_next", "llama4"])
def test_an_unknown_model_type_is_answered_with_the_supported_ones(name: str) -> None:
    with pytest.raises(
        UnsupportedModelError, match=rf"model_type '{name}' is not supported.*; supported are qwen3, qwen3_moe, "
    ):
        family_of({"model_type": name})


def test_a_configuration_without_a_model_type_is_not_a_checkpoints() -> None:
    with pytest.raises(CheckpointError, match="lacks model_type"):
        family_of({})

"""Weights: a checkpoint has just those that its configuration asks for, or the export stops naming one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from thinkport.export.checkpoint import TensorEntry
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families import DecoderShape, Rope, family_of

QWEN3 = family_of({"model_type": "qwen3"})


def shape_of(*, tied: bool, head_norms: bool = True) -> DecoderShape:
    return DecoderShape(
        layers=2,
        hidden_size=64,
        heads=4,
        kv_heads=2,
        head_dim=32,
        intermediate_size=96,
        vocab_size=50,
        context_length=128,
        tied=tied,
        rms_eps=1e-6,
        head_norms=head_norms,
        rope=Rope(theta=1e4),
    )


def entry(name: str, shape: tuple[int, ...], dtype: str = "BF16") -> TensorEntry:
    return TensorEntry(name, dtype, shape, Path("model.safetensors"), 0, 0)


def stored(shape: DecoderShape) -> dict[str, TensorEntry]:
    return {name: entry(name, size) for name, size in QWEN3.expected_tensors(shape).items()}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("config_class", "model_class"), [(Qwen3Config, Qwen3ForCausalLM), (LlamaConfig, LlamaForCausalLM)]
)
def test_the_expected_weights_are_those_of_transformers(config_class: Any, model_class: Any, tied: bool) -> None:
    shape = shape_of(tied=tied, head_norms=config_class is Qwen3Config)
    config = config_class(
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden_size,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate_size,
        vocab_size=shape.vocab_size,
        tie_word_embeddings=tied,
    )
    with torch.device("meta"):
        weights = {name: tuple(weight.shape) for name, weight in model_class(config).named_parameters()}
    assert family_of(config.to_dict()).expected_tensors(shape) == weights


def test_every_weight_has_a_role() -> None:
    roles = {name: QWEN3.role(name) for name in QWEN3.expected_tensors(shape_of(tied=False))}
    assert roles["model.embed_tokens.weight"] == "embedding"
    assert roles["lm_head.weight"] == "lm_head"
    assert roles["model.layers.1.self_attn.k_proj.weight"] == "attention"
    assert roles["model.layers.1.mlp.down_proj.weight"] == "mlp"
    norms = [name for name, role in roles.items() if role == "norm"]
    assert len(norms) == 2 * 4 + 1


def test_a_name_of_another_family_has_no_role() -> None:
    with pytest.raises(KeyError):
        QWEN3.role("transformer.h.0.attn.weight")


@pytest.mark.parametrize("tied", [True, False])
def test_a_whole_checkpoint_passes(tied: bool) -> None:
    QWEN3.check_weights(stored(shape_of(tied=tied)), shape_of(tied=tied))


@pytest.mark.parametrize("extra", ["lm_head.weight", "model.layers.0.self_attn.rotary_emb.inv_freq"])
def test_a_tied_checkpoint_may_store_what_can_be_computed(extra: str) -> None:
    tensors = stored(shape_of(tied=True))
    QWEN3.check_weights(tensors | {extra: entry(extra, (50, 64))}, shape_of(tied=True))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("model.layers.0.self_attn.q_proj.bias", "has a bias, model.layers.0.self_attn.q_proj.bias"),
        (
            "model.layers.0.mlp.up_proj.weight_scale_inv",
            "is quantized: it has .*weight_scale_inv, and the quantization_config",
        ),
        ("model.layers.0.mlp.up_proj.qweight", "is quantized: it has .*qweight, and the quantization_config"),
        ("model.layers.0.mlp.experts.0.up_proj.weight", "which such a model doesn't"),
    ],
)
def test_a_weight_that_the_family_does_not_have_is_refused_by_name(extra: str, message: str) -> None:
    tensors = stored(shape_of(tied=True)) | {extra: entry(extra, (64,))}
    with pytest.raises(UnsupportedModelError, match=message):
        QWEN3.check_weights(tensors, shape_of(tied=True))


def test_a_missing_weight_is_named() -> None:
    tensors = stored(shape_of(tied=True))
    del tensors["model.layers.1.self_attn.q_norm.weight"], tensors["model.norm.weight"]
    with pytest.raises(CheckpointError, match=r"lacks model.layers.1.self_attn.q_norm.weight and 1 more, of 24"):
        QWEN3.check_weights(tensors, shape_of(tied=True))


def test_an_untied_model_without_lm_head_is_told_of_the_switch() -> None:
    with pytest.raises(CheckpointError, match=r"lacks lm_head.weight, .* tie_word_embeddings false"):
        QWEN3.check_weights(stored(shape_of(tied=True)), shape_of(tied=False))


def test_another_shape_is_told_with_both() -> None:
    tensors = stored(shape_of(tied=True))
    tensors["model.embed_tokens.weight"] = entry("model.embed_tokens.weight", (49, 64))
    with pytest.raises(
        CheckpointError, match=r"disagree: model.embed_tokens.weight is \[49, 64\] .* makes it \[50, 64\]"
    ):
        QWEN3.check_weights(tensors, shape_of(tied=True))


@pytest.mark.parametrize(("layers", "found"), [(1, 2), (3, 2)])
def test_another_number_of_layers_is_told_with_both(layers: int, found: int) -> None:
    shape = replace(shape_of(tied=True), layers=layers)
    with pytest.raises(CheckpointError, match=rf"config.json says {layers} layers, the weights have {found}"):
        QWEN3.check_weights(stored(shape_of(tied=True)), shape)


def test_weights_that_are_not_floating_point_are_refused() -> None:
    tensors = stored(shape_of(tied=True))
    tensors["model.norm.weight"] = entry("model.norm.weight", (64,), "F8_E4M3")
    with pytest.raises(CheckpointError, match=r"model.norm.weight is stored as F8_E4M3; expected BF16, F16 or F32"):
        QWEN3.check_weights(tensors, shape_of(tied=True))

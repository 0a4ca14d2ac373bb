"""A mixture's configuration: which layers have experts, what is refused by name, and what each weight is for."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from thinkport.export.checkpoint import TensorEntry
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families import MixtureShape, family_of

FAMILY = family_of({"model_type": "qwen3_moe"})
# Qwen3-30B-A3B's own
CONFIG: dict[str, Any] = {
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "max_position_embeddings": 40960,
    "max_window_layers": 48,
    "mlp_only_layers": [],
    "model_type": "qwen3_moe",
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
SMALL = CONFIG | {"num_hidden_layers": 4, "num_experts": 3, "num_experts_per_tok": 2}


def entry(name: str, size: tuple[int, ...]) -> TensorEntry:
    return TensorEntry(name, "BF16", size, Path("model.safetensors"), 0, 0)


def test_the_published_configuration_gives_its_sizes() -> None:
    shape = FAMILY.shape(CONFIG)
    assert (shape.layers, shape.hidden_size, shape.heads, shape.kv_heads, shape.head_dim) == (48, 2048, 32, 4, 128)
    assert (shape.head_norms, shape.qkv_bias, shape.tied) == (True, False, False)
    assert shape.mixture == MixtureShape(
        layers=tuple(range(48)), experts=128, active=8, intermediate_size=768, normalized=True
    )


@pytest.mark.parametrize(
    ("change", "layers"),
    [
        ({"mlp_only_layers": [0, 3]}, (1, 2)),
        ({"decoder_sparse_step": 2}, (1, 3)),
        ({"decoder_sparse_step": 2, "mlp_only_layers": [3]}, (1,)),
        ({"mlp_only_layers": None}, (0, 1, 2, 3)),
    ],
)
def test_some_layers_keep_one_mlp(change: dict[str, Any], layers: tuple[int, ...]) -> None:
    shape = FAMILY.shape(SMALL | change)
    assert shape.mixture is not None
    assert shape.mixture.layers == layers
    names = FAMILY.expected_tensors(shape)
    for layer in range(4):
        assert (f"model.layers.{layer}.mlp.gate.weight" in names) == (layer in layers) == shape.has_experts(layer)
        assert (f"model.layers.{layer}.mlp.gate_proj.weight" in names) == (layer not in layers)


def test_without_a_sparse_layer_it_is_a_dense_decoder() -> None:
    shape = FAMILY.shape(SMALL | {"mlp_only_layers": [0, 1, 2, 3]})
    assert shape.mixture is None
    assert {FAMILY.role(name) for name in FAMILY.expected_tensors(shape)} == {
        "attention",
        "mlp",
        "norm",
        "embedding",
        "lm_head",
    }
    assert {name for branch in FAMILY.branches(shape) for name in branch.writers if ".mlp." in name} == {
        f"model.layers.{layer}.mlp.down_proj.weight" for layer in range(4)
    }


def test_transformers_own_name_for_the_number_of_experts_is_read() -> None:
    config = {key: value for key, value in SMALL.items() if key != "num_experts"} | {"num_local_experts": 5}
    mixture = FAMILY.shape(config).mixture
    assert mixture is not None
    assert mixture.experts == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_experts": None}, "lacks num_experts"),
        ({"moe_intermediate_size": 0}, "moe_intermediate_size is 0"),
        ({"num_experts_per_tok": 4}, "num_experts_per_tok is 4 and there are 3 experts"),
        ({"mlp_only_layers": [4]}, r"mlp_only_layers is \[4\]; expected a list of layers from 0 to 3"),
        ({"mlp_only_layers": 2}, "mlp_only_layers is 2; expected a list"),
        ({"decoder_sparse_step": 0}, "decoder_sparse_step is 0"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        FAMILY.shape(SMALL | change)


def test_windows_are_refused_as_in_the_dense_qwen3() -> None:
    with pytest.raises(UnsupportedModelError, match="use_sliding_window is true"):
        FAMILY.shape(SMALL | {"use_sliding_window": True})


def test_every_expert_has_weights_and_the_router_is_never_rounded() -> None:
    shape = FAMILY.shape(SMALL)
    tensors = FAMILY.expected_tensors(shape)
    roles = Counter(FAMILY.role(name) for name in tensors if name.startswith("model.layers.2."))
    assert roles == {"attention": 4, "norm": 4, "router": 1, "experts": 9}
    assert tensors["model.layers.2.mlp.experts.1.down_proj.weight"] == (2048, 768)
    assert tensors["model.layers.2.mlp.gate.weight"] == (3, 2048)
    FAMILY.check_weights({name: entry(name, size) for name, size in tensors.items()}, shape)


def test_experts_in_one_tensor_are_refused_with_what_to_do() -> None:
    shape = FAMILY.shape(SMALL)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    with pytest.raises(UnsupportedModelError, match=rf"has {name}, all experts of a layer .* save_pretrained"):
        FAMILY.check_weights({name: entry(name, (3, 1536, 2048))}, shape)


def test_a_missing_expert_is_named() -> None:
    shape = FAMILY.shape(SMALL)
    missing = "model.layers.3.mlp.experts.2.up_proj.weight"
    tensors = {name: entry(name, size) for name, size in FAMILY.expected_tensors(shape).items() if name != missing}
    with pytest.raises(CheckpointError, match=f"the checkpoint lacks {missing}"):
        FAMILY.check_weights(tensors, shape)


def test_the_router_and_all_experts_read_the_hidden_state_and_the_experts_write_it() -> None:
    shape = FAMILY.shape(SMALL | {"mlp_only_layers": [1]})
    branches = {branch.norm: branch for branch in FAMILY.branches(shape)}
    assert len(branches) == 2 * 4
    sparse = branches["model.layers.0.post_attention_layernorm.weight"]
    assert len(sparse.readers) == 2 * 3 + 1
    assert sparse.readers[-1] == "model.layers.0.mlp.gate.weight"
    assert sparse.writers == tuple(f"model.layers.0.mlp.experts.{expert}.down_proj.weight" for expert in range(3))
    dense = branches["model.layers.1.post_attention_layernorm.weight"]
    assert dense.readers == ("model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight")
    named = [name for branch in branches.values() for name in (branch.norm, *branch.readers, *branch.writers)]
    tables = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    heads = {name for name in FAMILY.expected_tensors(shape) if name.endswith(("q_norm.weight", "k_norm.weight"))}
    assert sorted(named) == sorted(FAMILY.expected_tensors(shape).keys() - tables - heads)

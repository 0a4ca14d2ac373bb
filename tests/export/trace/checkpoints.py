"""Narrow checkpoints with random weights and the reference checkpoint's tokenizer."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tests.export.trace.traced import NANO

from thinkport.export.families import family_of

NARROW: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "attention_bias": False,
    "bos_token_id": 503,
    "eos_token_id": 505,
    "head_dim": 32,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 128,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "vocab_size": 512,
}


LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 256,
    "max_position_embeddings": 4096,
    "mlp_bias": False,
}


WIDE: dict[str, Any] = {  # the widths of the 0.6B, under a small vocabulary
    "head_dim": 128,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "num_attention_heads": 16,
    "num_hidden_layers": 2,
    "num_key_value_heads": 8,
    "rope_theta": 1000000,
}


QWEN2: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 128,
    "intermediate_size": 256,
    "max_position_embeddings": 4096,
    "max_window_layers": 1,
    "sliding_window": 32,
    "use_sliding_window": False,
    "tie_word_embeddings": False,
}


MIXTURE: dict[str, Any] = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "decoder_sparse_step": 1,
    "hidden_size": 128,
    "intermediate_size": 256,
    "max_position_embeddings": 4096,
    "mlp_only_layers": [],
    "moe_intermediate_size": 64,
    "norm_topk_prob": True,
    "num_experts": 16,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 4,
    "tie_word_embeddings": False,
}


def with_routers(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the routers' rows of a checkpoint."""
    tensors = load_file(folder / "model.safetensors")
    for name, rows in tensors.items():
        if name.endswith("mlp.gate.weight"):
            tensors[name] = np.ascontiguousarray(change(rows), np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def uneven_routers(folder: Path) -> None:
    """Some experts get most tokens of a text, and some hardly any."""
    with_routers(folder, lambda rows: rows * np.geomspace(4, 0.02, len(rows), dtype=np.float32)[:, None])


def narrow_checkpoint(folder: Path, *, seed: int | None = None, **changes: Any) -> Path:
    """Write a whole checkpoint of a few narrow layers; fresh weights if no seed is given."""
    folder.mkdir(parents=True)
    config = NARROW | changes
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copyfile(NANO / name, folder / name)
    family = family_of(config)
    generator = np.random.default_rng(seed)
    tensors = {
        name: (generator.normal(size=size) * (size[-1] ** -0.5 if len(size) > 1 else 1.0)).astype(np.float32)
        for name, size in family.expected_tensors(family.shape(config)).items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder

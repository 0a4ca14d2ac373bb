"""A GGUF file's tensors by a checkpoint's names, and whether file and config.json speak of one model.

Knows llama.cpp's names of a dense decoder's tensors (gguf's `constants.py`).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thinkport.export.checkpoint.gguf.header import GgufHeader, read_gguf_header
from thinkport.export.checkpoint.gguf.tensors import gguf_tensor
from thinkport.export.checkpoint.safetensors_file import TensorEntry
from thinkport.export.errors import CheckpointError, UnsupportedModelError

_TOPS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER = re.compile(r"blk\.([0-9]{1,9})\.(\w+)\.(weight|bias)")
_COMPUTED = "rope_freqs.weight"  # what config.json's rope scaling says, too
_REORDERED = {"llama": {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}}  # by architecture
_SAME = {
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
}


def gguf_file(folder: Path) -> Path | None:
    """The GGUF file of a folder without safetensors; None where there is none.

    Raises:
        CheckpointError: there are several.
    """
    found = sorted(folder.glob("*.gguf"))
    if not found or any(folder.glob("*.safetensors")):
        return None
    if len(found) > 1:
        raise CheckpointError(f"{folder} has {len(found)} GGUF files: give one of them, such as {found[0]}")
    return found[0]


def gguf_tensors(file: Path, config: Mapping[str, Any]) -> dict[str, TensorEntry]:
    """Every tensor of a file by a checkpoint's name; `config` is the config.json beside it.

    Raises:
        CheckpointError: the file is damaged, or it and config.json are of different models.
        UnsupportedModelError: a split file, or tensors that no dense decoder has.
    """
    header = read_gguf_header(file)
    _check_same(file, header, config)
    return dict(_named(file, header, config))


def _named(file: Path, header: GgufHeader, config: Mapping[str, Any]) -> Iterator[tuple[str, TensorEntry]]:
    reordered = _REORDERED.get(str(header.metadata.get("general.architecture")), {})
    for entry in header.entries:
        if entry.name == _COMPUTED:
            continue
        match = _LAYER.fullmatch(entry.name)
        stem, _, kind = entry.name.rpartition(".")
        part = match[2] if match else stem
        known = _PARTS.get(part) if match else _TOPS.get(part)
        if known is None:
            raise UnsupportedModelError(
                f"{file.name} has {entry.name}, which a dense decoder doesn't: export the bf16 checkpoint that it was "
                "made from"
            )
        name = f"model.layers.{match[1]}.{known}.{kind}" if match else f"{known}.{kind}"
        heads = (config.get(reordered[part]) or config.get("num_attention_heads")) if part in reordered else None
        yield name, gguf_tensor(file, entry, name, heads)


def _check_same(file: Path, header: GgufHeader, config: Mapping[str, Any]) -> None:
    metadata = header.metadata
    if metadata.get("split.count", 1) > 1:
        raise UnsupportedModelError(
            f"{file.name} is one of {metadata['split.count']} parts: join them with `llama-gguf-split --merge`"
        )
    kind = metadata.get("general.architecture")
    said = {"model_type": (kind, config.get("model_type"))}
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    for key, ours in _SAME.items():
        said[ours] = (metadata.get(f"{kind}.{key}"), config.get(ours, rope.get(ours)))
    for key, (stored, asked) in said.items():
        if stored is not None and asked is not None and not _alike(stored, asked):
            raise CheckpointError(
                f"{file.name} and config.json beside it are of different models: {key} is {stored} and {asked}; put "
                "the config.json and tokenizer.json of the model that the file was made from beside it"
            )


def _alike(stored: Any, asked: Any) -> bool:
    if isinstance(stored, str) or isinstance(asked, str):
        return bool(stored == asked)
    return bool(abs(stored - asked) <= 1e-4 * abs(asked))  # the file has float32

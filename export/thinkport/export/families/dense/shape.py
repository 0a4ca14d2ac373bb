"""Reads a dense decoder's sizes from `config.json`, and refuses by name what the export can't express.

Knows the keys that such configurations share; what one family alone has is refused in its own folder.
"""

from collections.abc import Mapping
from typing import Any

from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families.config_reader import positive_float, positive_int, read_rope, required_bool
from thinkport.export.families.shape import DecoderShape, Rope

LONGEST_CONTEXT = 1 << 21  # positions; a fused graph holds the cosine and sine of every one


def read_shape(config: Mapping[str, Any], *, head_norms: bool, qkv_bias: bool = False) -> DecoderShape:
    """Read and check a configuration, of either spelling of the rotary parameters.

    `head_norms` and `qkv_bias` are what the family's layers always have.

    Raises:
        CheckpointError: a key is missing, isn't what it should be, or contradicts another.
        UnsupportedModelError: biases, another activation or rope scaling.
    """
    _refuse_unsupported(config)
    positions = positive_int(config, "max_position_embeddings")
    rope = read_rope(config, positions)
    shape = DecoderShape(
        layers=positive_int(config, "num_hidden_layers"),
        hidden_size=positive_int(config, "hidden_size"),
        heads=positive_int(config, "num_attention_heads"),
        kv_heads=positive_int(config, "num_key_value_heads"),
        head_dim=positive_int(config, "head_dim"),
        intermediate_size=positive_int(config, "intermediate_size"),
        vocab_size=positive_int(config, "vocab_size"),
        context_length=_context_length(positions, rope),
        tied=required_bool(config, "tie_word_embeddings"),
        rms_eps=positive_float(config, "rms_norm_eps"),
        head_norms=head_norms,
        qkv_bias=qkv_bias,
        rope=rope,
    )
    _check_heads(shape)
    return shape


def _refuse_unsupported(config: Mapping[str, Any]) -> None:
    if config.get("attention_bias"):
        raise UnsupportedModelError("attention_bias is true: biases on q, k, v and o are not supported")
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        raise UnsupportedModelError(f"hidden_act is {activation!r}: only silu is supported")


def _context_length(positions: int, rope: Rope) -> int:
    """With YaRN, also what it lengthens the original context to: Qwen's own recipe leaves the positions as they were.

    Raises:
        CheckpointError: more positions than any such model has.
    """
    lengthened = rope.factor * (rope.original_context or 0) if rope.kind == "yarn" else 0
    longest = max(positions, lengthened)
    if longest > LONGEST_CONTEXT:
        raise CheckpointError(
            f"config.json makes the context {longest:.0f} positions; expected at most {LONGEST_CONTEXT}: "
            "correct max_position_embeddings or the rope scaling"
        )
    return round(longest)


def _check_heads(shape: DecoderShape) -> None:
    if shape.heads % shape.kv_heads:
        raise CheckpointError(
            f"config.json: {shape.heads} attention heads can't share {shape.kv_heads} key-value heads evenly"
        )
    if shape.head_dim % 2:
        raise CheckpointError(f"config.json: head_dim is {shape.head_dim}; rotary embedding needs an even one")

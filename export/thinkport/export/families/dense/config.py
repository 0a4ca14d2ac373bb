"""What the configuration files of a dense decoder say: its sizes, what they leave out, and how it samples.

Refuses by name what the export can't express. Knows the keys that such configurations share; what one family alone has
is refused in its own file.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families.config_reader import positive_float, positive_int, read_rope, required_bool
from thinkport.export.families.shape import DecoderShape, Rope
from thinkport.runtime.artifact.manifest import SamplingPreset

_MOST_LAYERS = 4096
LONGEST_CONTEXT = 1 << 21  # positions; a fused graph holds the cosine and sine of every one


def read_shape(config: Mapping[str, Any], *, head_norms: bool, qkv_bias: bool = False) -> DecoderShape:
    """Read and check a configuration, of either spelling of the rotary parameters.

    `head_norms` and `qkv_bias` are what the family's layers always have.

    Raises:
        CheckpointError: a key is missing, isn't what it should be, or contradicts another.
        UnsupportedModelError: biases, another activation or rope scaling.
    """
    _refuse_unsupported(config)
    positions = positive_int(config, "max_position_embeddings", most=1 << 40)  # what is too long is told below
    rope = read_rope(config, positions)
    shape = DecoderShape(
        layers=positive_int(config, "num_hidden_layers", _MOST_LAYERS),
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
    if config.get("is_causal") is False or config.get("use_bidirectional_attention"):
        raise UnsupportedModelError(
            "config.json says that tokens attend to later ones (is_causal, use_bidirectional_attention): such a model "
            "can't be run with a KV cache"
        )
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


def with_defaults(config: Mapping[str, Any], *, rope_theta: float) -> dict[str, Any]:
    """The configuration, with values for the keys that are absent or null; `rope_theta` is the family's.

    Raises:
        CheckpointError: the size of a head is missing, and heads don't divide the width.
    """
    hidden, heads = positive_int(config, "hidden_size"), positive_int(config, "num_attention_heads")
    values = {
        "num_key_value_heads": heads,
        "head_dim": hidden // heads,
        "tie_word_embeddings": False,
        "rope_theta": rope_theta,
    }
    missing = {key: value for key, value in values.items() if config.get(key) is None}
    if "head_dim" in missing and hidden % heads:
        raise CheckpointError(
            f"config.json: {heads} attention heads can't share a hidden_size of {hidden} evenly, and head_dim is "
            "missing; expected one of the three to be another"
        )
    return {**config, **missing}


def refuse_windows(config: Mapping[str, Any]) -> None:
    """`sliding_window` alone is a size that nothing uses: published configurations carry it with the switch off.

    Raises:
        CheckpointError: the kinds of layers aren't a list, or not one a layer.
        UnsupportedModelError: some layer doesn't attend to the whole context.
    """
    if config.get("use_sliding_window"):
        raise UnsupportedModelError(
            f"use_sliding_window is true (a window of {config.get('sliding_window')}): "
            "sliding-window attention is not supported"
        )
    kinds = config.get("layer_types") or []
    if not isinstance(kinds, list):
        raise CheckpointError(f"config.json: layer_types is {kinds!r}; expected a list")
    others = sorted({str(kind) for kind in kinds} - {"full_attention"})
    if others:
        raise UnsupportedModelError(f"layer_types has {', '.join(others)}: only full_attention is supported")
    if kinds and len(kinds) != config.get("num_hidden_layers"):
        raise CheckpointError(
            f"config.json: layer_types lists {len(kinds)} layers and num_hidden_layers is "
            f"{config.get('num_hidden_layers')}; they must agree"
        )


class _FinitePreset(SamplingPreset, allow_inf_nan=False):
    """A checkpoint's values, which its JSON may have infinite or no numbers."""


def greedy(generation_config: Mapping[str, Any] | None) -> bool:
    """Whether a checkpoint says that tokens are not drawn but taken: `do_sample` false means so for every reply."""
    return generation_config is not None and generation_config.get("do_sample") is False


def checkpoints_own(published: SamplingPreset, generation_config: Mapping[str, Any] | None) -> SamplingPreset:
    """The checkpoint's values over the `published` ones; greedy where it says not to sample.

    Raises:
        CheckpointError: a value that no sampler could use.
    """
    values = published.model_dump()
    own = {key: value for key, value in (generation_config or {}).items() if key in values and value is not None}
    if greedy(generation_config):
        own["temperature"] = 0.0
    try:
        return SamplingPreset(**_FinitePreset(**values | own).model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        key, value, expected = first["loc"][0], first["input"], first["msg"].lower().removesuffix(".")
        raise CheckpointError(
            f"generation_config.json: {key} is {value!r}: {expected}; correct it, or remove it"
        ) from error

"""Reads typed values out of `config.json`, so that a missing or odd one is a sentence and not a traceback.

Knows Hugging Face's two spellings of the rotary parameters; must not know any one model.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families.shape import Rope, RopeKind

ROPE_KEYS: dict[RopeKind, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "yarn": ("factor", "attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}
REQUIRED_ROPE_KEYS = ("factor", "low_freq_factor", "high_freq_factor")


def positive_int(config: Mapping[str, Any], key: str) -> int:
    """A required whole number above zero.

    Raises:
        CheckpointError: it is missing or something else.
    """
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise CheckpointError(_expected(config, key, "a whole number above 0"))
    return value


def positive_float(config: Mapping[str, Any], key: str) -> float:
    """A required number above zero.

    Raises:
        CheckpointError: it is missing or something else.
    """
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise CheckpointError(_expected(config, key, "a number above 0"))
    return float(value)


def required_bool(config: Mapping[str, Any], key: str) -> bool:
    """A required true or false.

    Raises:
        CheckpointError: it is missing or something else.
    """
    value = config.get(key)
    if not isinstance(value, bool):
        raise CheckpointError(_expected(config, key, "true or false"))
    return value


def read_rope(config: Mapping[str, Any], context_length: int) -> Rope:
    """The rotary parameters: `rope_theta` and `rope_scaling`, or transformers 5's `rope_parameters`.

    Raises:
        CheckpointError: a parameter is missing or isn't a number.
        UnsupportedModelError: a kind of scaling that isn't one fixed table, or one a layer type.
    """
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, Mapping):
        raise CheckpointError(f"config.json: the rotary parameters are {found!r}; expected an object")
    nested = [key for key, value in found.items() if isinstance(value, Mapping)]
    if nested:
        raise UnsupportedModelError(f"rotary parameters that differ by layer type ({', '.join(nested)}): not supported")
    values = {"rope_theta": config.get("rope_theta"), **found}
    name = values.get("rope_type") or values.get("type") or "default"
    if name not in ROPE_KEYS:
        raise UnsupportedModelError(
            f"rope scaling {name!r} is not supported: its table changes as text grows; "
            f"supported are {', '.join(ROPE_KEYS)}"
        )
    if values.get("partial_rotary_factor") not in (None, 1, 1.0):
        raise UnsupportedModelError(f"partial_rotary_factor {values['partial_rotary_factor']} is not supported: only 1")
    return _rope(values, name, context_length)


def _rope(values: Mapping[str, Any], kind: RopeKind, context_length: int) -> Rope:
    numbers = {
        key: positive_float(values, key)
        for key in ROPE_KEYS[kind]
        if key in REQUIRED_ROPE_KEYS or values.get(key) is not None
    }
    rope = Rope(theta=positive_float(values, "rope_theta"), kind=kind, **numbers)  # type: ignore[arg-type]
    if kind not in ("yarn", "llama3"):
        return rope
    original = values.get("original_max_position_embeddings")
    context = context_length if original is None else positive_int(values, "original_max_position_embeddings")
    return replace(rope, original_context=context, truncate=values.get("truncate", True) is not False)


def _expected(config: Mapping[str, Any], key: str, what: str) -> str:
    if key not in config or config[key] is None:
        return f"config.json lacks {key}; expected {what}"
    return f"config.json: {key} is {config[key]!r}; expected {what}"

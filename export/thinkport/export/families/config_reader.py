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
_GROWING = ("dynamic", "longrope")
_THETA = 10000.0  # of transformers' configurations that name none
_LARGEST_NUMBER = 1e30  # which float32 holds
_OLD, _NEW = "rope_scaling", "rope_parameters"
_CONTEXT, _PARTIAL = "original_max_position_embeddings", "partial_rotary_factor"
# Two names of one setting; the first counts, as in transformers.
_SAME = (("num_experts", "num_local_experts"), ("dtype", "torch_dtype"))


LARGEST = 1 << 24  # of a size in config.json: rows of a vocabulary are the most, and no real one comes near


def positive_int(config: Mapping[str, Any], key: str, most: int = LARGEST) -> int:
    """A required whole number above zero, at most `most`.

    Raises:
        CheckpointError: it is missing or something else.
    """
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise CheckpointError(_expected(config, key, "a whole number above 0"))
    if value > most:
        raise CheckpointError(f"config.json: {key} is {value!r:.40}; expected at most {most}: no model is that large")
    return value


def positive_float(config: Mapping[str, Any], key: str, *, endless: bool = False) -> float:
    """A required number above zero; infinity only where it is `endless`, for somebody else to refuse.

    Raises:
        CheckpointError: it is missing or something else.
    """
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _fits(value, endless):
        raise CheckpointError(_expected(config, key, "a number above 0"))
    return float(value)


def _fits(value: float, endless: bool) -> bool:
    return 0 < value <= _LARGEST_NUMBER or (endless and value == float("inf"))


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

    Where both are there, `rope_scaling` counts, as in transformers; what they disagree in is told by `disagreements`.

    Raises:
        CheckpointError: a parameter is missing or isn't a number.
        UnsupportedModelError: a kind of scaling that isn't one fixed table, or one a layer type.
    """
    found = _rotary(config)
    nested = [key for key, value in found.items() if isinstance(value, Mapping)]
    if nested:
        raise UnsupportedModelError(f"rotary parameters that differ by layer type ({', '.join(nested)}): not supported")
    values = {"rope_theta": config.get("rope_theta"), _PARTIAL: config.get(_PARTIAL), **found}
    if config.get(_CONTEXT) is not None:  # which alone counts outside of the rotary parameters, as in transformers
        values[_CONTEXT] = config[_CONTEXT]
    if _theta_left_behind(config) is not None:
        values["rope_theta"] = _THETA
    name = values.get("rope_type") or values.get("type") or "default"
    if name not in ROPE_KEYS:
        grows = " (its table changes as text grows)" if name in _GROWING else ""
        raise UnsupportedModelError(
            f"rope scaling {name!r} is not supported{grows}; supported are {', '.join(ROPE_KEYS)}"
        )
    if values.get(_PARTIAL) not in (None, 1, 1.0):
        raise UnsupportedModelError(f"{_PARTIAL} {values[_PARTIAL]} is not supported: only 1")
    return _rope(values, name, context_length)


def disagreements(config: Mapping[str, Any]) -> list[str]:
    """What config.json says twice and differently, each with which of the two counts.

    Raises:
        CheckpointError: the rotary parameters are no object.
    """
    told = [
        f"config.json: {first} is {config[first]!r} and {second} {config[second]!r}; {first} counts, as in transformers"
        for first, second in _SAME
        if config.get(first) is not None and config.get(second) is not None and config[first] != config[second]
    ]
    old, new, used = config.get(_OLD), config.get(_NEW), _rotary(config)
    if old and new and isinstance(new, Mapping):
        differ = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        if differ:
            names = ", ".join(differ)
            told.append(f"config.json: {_OLD} and {_NEW} differ in {names}; {_OLD} counts, as in transformers")
    kinds = used.get("rope_type"), used.get("type")
    if None not in kinds and kinds[0] != kinds[1]:
        told.append(f"config.json: rope_type is {kinds[0]!r} and type is {kinds[1]!r}; rope_type counts")
    for key in ("rope_theta", _PARTIAL, _CONTEXT):
        outer, inner = config.get(key), used.get(key)
        if outer is not None and inner is not None and outer != inner:
            counts = f"{outer!r}" if key == _CONTEXT else f"{inner!r}"
            told.append(f"config.json: {key} is {outer!r}, and {inner!r} among the rotary parameters; {counts} counts")
    left = _theta_left_behind(config)
    if left is not None and left != _THETA:
        told.append(
            f"config.json: {_OLD} counts and has no rope_theta, so that it is {_THETA:g}, as in transformers; {_NEW} "
            f"has {left!r}: put that into {_OLD} if the model was trained with it"
        )
    return told


def _theta_left_behind(config: Mapping[str, Any]) -> Any:
    """The `rope_theta` of the spelling that doesn't count, where the one that does has none; else None."""
    new = config.get(_NEW)
    if not config.get(_OLD) or not isinstance(new, Mapping) or config.get("rope_theta") is not None:
        return None
    return None if "rope_theta" in _rotary(config) else new.get("rope_theta")


def _rotary(config: Mapping[str, Any]) -> Mapping[str, Any]:
    found = config.get(_OLD) or config.get(_NEW) or {}
    if not isinstance(found, Mapping):
        raise CheckpointError(f"config.json: the rotary parameters are {found!r}; expected an object")
    return found


def _rope(values: Mapping[str, Any], kind: RopeKind, context_length: int) -> Rope:
    numbers = {
        key: positive_float(values, key, endless=(kind, key) == ("yarn", "factor"))  # its context is refused
        for key in ROPE_KEYS[kind]
        if key in REQUIRED_ROPE_KEYS or values.get(key) is not None
    }
    rope = Rope(theta=positive_float(values, "rope_theta"), kind=kind, **numbers)  # type: ignore[arg-type]
    if kind not in ("yarn", "llama3"):
        return rope
    original = values.get(_CONTEXT)
    context = context_length if original is None else positive_int(values, _CONTEXT)
    return replace(rope, original_context=context, truncate=values.get("truncate", True) is not False)


def _expected(config: Mapping[str, Any], key: str, what: str) -> str:
    if key not in config or config[key] is None:
        return f"config.json lacks {key}; expected {what}"
    return f"config.json: {key} is {config[key]!r}; expected {what}"

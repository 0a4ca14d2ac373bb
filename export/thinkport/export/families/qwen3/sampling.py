"""Qwen3's published sampling values (QwenLM/Qwen3, "Best Practices")."""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from thinkport.export.errors import CheckpointError
from thinkport.runtime.manifest import Presets, SamplingPreset

_THINKING = {
    "temperature": 0.6,
    "top_p": 0.95,
    "top_k": 20,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "repetition_penalty": 1.0,
}
_ANSWERING = _THINKING | {"temperature": 0.7, "top_p": 0.8}


def presets(generation_config: Mapping[str, Any] | None) -> Presets:
    """The two modes' values; a checkpoint's generation_config.json is about thinking, the mode it starts in.

    Raises:
        CheckpointError: a value that no sampler could use.
    """
    own = {key: value for key, value in (generation_config or {}).items() if key in _THINKING and value is not None}
    if generation_config is not None and generation_config.get("do_sample") is False:
        own["temperature"] = 0.0
    return Presets(thinking=_preset(_THINKING | own), answering=_preset(_ANSWERING))


def _preset(values: Mapping[str, Any]) -> SamplingPreset:
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise _unusable(key, value, "input should be a finite number")
    try:
        return SamplingPreset(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise _unusable(str(first["loc"][0]), first["input"], first["msg"].lower()) from error


def _unusable(key: str, value: object, expected: str) -> CheckpointError:
    return CheckpointError(
        f"generation_config.json: {key} is {value!r}: {expected.removesuffix('.')}; correct it, or remove it"
    )

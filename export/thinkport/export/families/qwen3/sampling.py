"""Qwen3's published sampling values (QwenLM/Qwen3, "Best Practices")."""

from collections.abc import Mapping
from typing import Any

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
    """The two modes' values; a checkpoint's generation_config.json is about thinking, the mode it starts in."""
    own = {key: value for key, value in (generation_config or {}).items() if key in _THINKING and value is not None}
    if generation_config is not None and generation_config.get("do_sample") is False:
        own["temperature"] = 0.0
    return Presets(thinking=_preset(_THINKING | own), answering=_preset(_ANSWERING))


def _preset(values: Mapping[str, Any]) -> SamplingPreset:
    return SamplingPreset(
        temperature=float(values["temperature"]),
        top_k=int(values["top_k"]),
        top_p=float(values["top_p"]),
        min_p=float(values["min_p"]),
        presence_penalty=float(values["presence_penalty"]),
        repetition_penalty=float(values["repetition_penalty"]),
    )

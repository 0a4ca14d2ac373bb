"""Sampling values of the two modes, from a family's published ones and a checkpoint's `generation_config.json`."""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from thinkport.export.errors import CheckpointError
from thinkport.runtime.artifact.manifest import SamplingPreset


def checkpoints_own(published: SamplingPreset, generation_config: Mapping[str, Any] | None) -> SamplingPreset:
    """The checkpoint's values over the `published` ones; greedy where it says not to sample.

    Raises:
        CheckpointError: a value that no sampler could use.
    """
    values = published.model_dump()
    own = {key: value for key, value in (generation_config or {}).items() if key in values and value is not None}
    if generation_config is not None and generation_config.get("do_sample") is False:
        own["temperature"] = 0.0
    return _preset(values | own)


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

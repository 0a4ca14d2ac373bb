"""Sampling values of the two modes, from a family's published ones and a checkpoint's `generation_config.json`."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from thinkport.export.errors import CheckpointError
from thinkport.runtime.artifact.manifest import SamplingPreset


class _FinitePreset(SamplingPreset, allow_inf_nan=False):
    """A checkpoint's values, which its JSON may have infinite or no numbers."""


def checkpoints_own(published: SamplingPreset, generation_config: Mapping[str, Any] | None) -> SamplingPreset:
    """The checkpoint's values over the `published` ones; greedy where it says not to sample.

    Raises:
        CheckpointError: a value that no sampler could use.
    """
    values = published.model_dump()
    own = {key: value for key, value in (generation_config or {}).items() if key in values and value is not None}
    if generation_config is not None and generation_config.get("do_sample") is False:
        own["temperature"] = 0.0
    try:
        return SamplingPreset(**_FinitePreset(**values | own).model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        key, value, expected = first["loc"][0], first["input"], first["msg"].lower().removesuffix(".")
        raise CheckpointError(
            f"generation_config.json: {key} is {value!r}: {expected}; correct it, or remove it"
        ) from error

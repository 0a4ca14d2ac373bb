"""The families by `model_type`: one line each."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families.family import Family
from thinkport.export.families.llama import Llama
from thinkport.export.families.qwen2 import Qwen2
from thinkport.export.families.qwen3 import Qwen3
from thinkport.export.families.qwen3_moe import Qwen3Moe
from thinkport.export.families.shape import DecoderShape
from thinkport.runtime.artifact.manifest import Task

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {family.model_type: family for family in (Qwen3(), Qwen3Moe(), Qwen2(), Llama())}
)


def family_of(config: Mapping[str, Any]) -> Family:
    """The family that a `config.json` names.

    Raises:
        CheckpointError: it names none.
        UnsupportedModelError: it names one that isn't here; the message lists those that are.
    """
    name = config.get("model_type")
    if not isinstance(name, str):
        raise CheckpointError("config.json lacks model_type; expected a Hugging Face checkpoint's own config.json")
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.8)
        hint = f" ({name} is another architecture than {near[0]})" if near else ""
        raise UnsupportedModelError(f"model_type {name!r} is not supported{hint}; supported are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def shape_of(checkpoint: Checkpoint) -> DecoderShape:
    """The sizes of a checkpoint's model; one that embeds has no lm_head, whatever its configuration says of it.

    Raises:
        CheckpointError: as `family_of` and `Family.shape`.
        UnsupportedModelError: the same.
    """
    shape = family_of(checkpoint.config).shape(checkpoint.config)
    return replace(shape, tied=False, head=False) if checkpoint.task is Task.EMBEDDING else shape

"""Llama as a `Family`: a dense decoder without norms on its heads, whose configuration leaves more to defaults."""

from collections.abc import Mapping
from typing import Any

from thinkport.export.errors import UnsupportedModelError
from thinkport.export.families.dense.config import checkpoints_own, read_shape, with_defaults
from thinkport.export.families.family import Family
from thinkport.export.families.shape import DecoderShape
from thinkport.runtime.artifact.manifest import Presets, SamplingPreset

# As the generation_config.json of Meta's Llama 2 and 3 chat models has it.
_PUBLISHED = SamplingPreset(
    temperature=0.6, top_p=0.9, top_k=0, min_p=0.0, presence_penalty=0.0, repetition_penalty=1.0
)
_ROPE_THETA = 10000.0  # of Llama and Llama 2, whose first configurations don't name it


class Llama(Family):
    """Llama, Llama 2 and 3, and what others published in their form, such as SmolLM2."""

    model_type = "llama"

    def shape(self, config: Mapping[str, Any]) -> DecoderShape:
        """See `Family.shape`; what older configurations leave out has the value that those models were trained with."""
        if config.get("mlp_bias"):
            raise UnsupportedModelError("mlp_bias is true: biases on gate, up and down are not supported")
        if config.get("pretraining_tp") not in (None, 1):
            raise UnsupportedModelError(
                f"pretraining_tp is {config['pretraining_tp']!r}: only 1 is supported, matrices multiplied whole"
            )
        return read_shape(with_defaults(config, rope_theta=_ROPE_THETA), head_norms=False)

    def presets(self, generation_config: Mapping[str, Any] | None) -> Presets:
        """See `Family.presets`; both modes sample alike."""
        preset = checkpoints_own(_PUBLISHED, generation_config)
        return Presets(thinking=preset, answering=preset)

"""The dense Qwen2 as a `Family`: a dense decoder with biases on q, k and v."""

from collections.abc import Mapping
from typing import Any

from thinkport.export.families.dense.config import checkpoints_own, read_shape, refuse_windows, with_defaults
from thinkport.export.families.family import Family
from thinkport.export.families.shape import DecoderShape
from thinkport.runtime.artifact.manifest import Presets, SamplingPreset

# As the generation_config.json of Qwen2.5's instruction-tuned models has it.
_PUBLISHED = SamplingPreset(
    temperature=0.7, top_p=0.8, top_k=20, min_p=0.0, presence_penalty=0.0, repetition_penalty=1.05
)
# What a checkpoint leaves out that names some values, as the distilled DeepSeek-R1 names temperature and top_p.
_UNSAID = SamplingPreset(temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, presence_penalty=0.0, repetition_penalty=1.0)
_ROPE_THETA = 10000.0  # where a configuration doesn't name it


class Qwen2(Family):
    """Qwen2 and Qwen2.5, and what others trained from them, such as the DeepSeek-R1 distilled models."""

    model_type = "qwen2"

    def shape(self, config: Mapping[str, Any]) -> DecoderShape:
        """See `Family.shape`; a configuration rarely names the size of a head."""
        refuse_windows(config)
        return read_shape(with_defaults(config, rope_theta=_ROPE_THETA), head_norms=False, qkv_bias=True)

    def presets(self, generation_config: Mapping[str, Any] | None) -> Presets:
        """See `Family.presets`; both modes sample alike."""
        named = SamplingPreset.model_fields.keys() & (generation_config or {})
        preset = checkpoints_own(_UNSAID if named else _PUBLISHED, generation_config)
        return Presets(thinking=preset, answering=preset)

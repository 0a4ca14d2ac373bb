"""The dense Qwen3 as a `Family`: a dense decoder with norms on its Q and K heads."""

from collections.abc import Mapping
from typing import Any

from thinkport.export.families.dense.config import checkpoints_own, greedy, read_shape, refuse_windows
from thinkport.export.families.family import Family
from thinkport.export.families.reranking import qwen3_reranking
from thinkport.export.families.shape import DecoderShape
from thinkport.runtime.artifact.manifest import Presets, Reranking, SamplingPreset
from thinkport.runtime.prompt.tokenizer import Tokenizer

# https://github.com/QwenLM/Qwen3, "Best Practices"
_THINKING = SamplingPreset(
    temperature=0.6, top_p=0.95, top_k=20, min_p=0.0, presence_penalty=0.0, repetition_penalty=1.0
)
_ANSWERING = _THINKING.model_copy(update={"temperature": 0.7, "top_p": 0.8})


class Qwen3(Family):
    """0.6B to 32B, tied or not; not the mixtures of experts, which are another `model_type`."""

    model_type = "qwen3"

    def shape(self, config: Mapping[str, Any]) -> DecoderShape:
        """See `Family.shape`; `head_dim` is read and never derived."""
        refuse_windows(config)
        return read_shape(config, head_norms=True)

    def presets(self, generation_config: Mapping[str, Any] | None) -> Presets:
        """See `Family.presets`; a checkpoint's generation_config.json is about thinking, the mode it starts in.

        That nothing is drawn at random holds for both.
        """
        answering = _ANSWERING.model_copy(update={"temperature": 0.0}) if greedy(generation_config) else _ANSWERING
        return Presets(thinking=checkpoints_own(_THINKING, generation_config), answering=answering)

    def reranking(self, tokenizer: Tokenizer) -> Reranking:
        """See `Family.reranking`."""
        return qwen3_reranking(tokenizer)

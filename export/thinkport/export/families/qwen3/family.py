"""The dense Qwen3 as a `Family`: what the exporter asks, answered by this folder's files."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from thinkport.export.checkpoint import TensorEntry
from thinkport.export.families.qwen3 import weights
from thinkport.export.families.qwen3.sampling import presets
from thinkport.export.families.qwen3.shape import Qwen3Shape
from thinkport.export.families.qwen3.sites import sites
from thinkport.export.families.shape import DecoderShape
from thinkport.export.quantize import Role
from thinkport.export.quantize.equalize import Site
from thinkport.runtime.manifest import Presets

if TYPE_CHECKING:
    import torch


class Qwen3:
    """0.6B to 32B, tied or not; not the mixtures of experts, which are another `model_type`."""

    @property
    def model_type(self) -> str:
        """The name in `config.json`."""
        return "qwen3"

    def shape(self, config: Mapping[str, Any]) -> DecoderShape:
        """See `Qwen3Shape.from_config`."""
        return Qwen3Shape.from_config(config)

    def expected_tensors(self, shape: DecoderShape) -> dict[str, tuple[int, ...]]:
        """See `weights.expected_tensors`."""
        return weights.expected_tensors(shape)

    def check_weights(self, tensors: Mapping[str, TensorEntry], shape: DecoderShape) -> None:
        """See `weights.check_weights`."""
        weights.check_weights(tensors, shape)

    def role(self, name: str) -> Role:
        """See `weights.role`."""
        return weights.role(name)

    def sites(self, shape: DecoderShape) -> list[Site]:
        """See `sites.sites`."""
        return sites(shape)

    def head_norms(self, layer: int) -> tuple[str, str]:
        """See `Family.head_norms`."""
        return weights.layer_name(layer, "self_attn.q_norm"), weights.layer_name(layer, "self_attn.k_norm")

    def presets(self, generation_config: Mapping[str, Any] | None) -> Presets:
        """See `sampling.presets`."""
        return presets(generation_config)

    @property
    def thinking_tokens(self) -> tuple[str, str]:
        """As the chat template writes them."""
        return "<think>", "</think>"

    @property
    def frequencies_name(self) -> str:
        """A non-persistent buffer of transformers' Qwen3."""
        return "model.rotary_emb.inv_freq"

    def build_traceable(
        self, config: Mapping[str, Any], shape: DecoderShape, layers: int
    ) -> "tuple[torch.nn.Module, tuple[Any, ...]]":
        """See `wrapper.build_traceable`; imports torch and transformers."""
        from thinkport.export.families.qwen3.wrapper import build_traceable

        return build_traceable(config, shape, layers)

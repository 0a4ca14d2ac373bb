"""Qwen3's mixture of experts as a `Family`: the dense Qwen3's attention, and layers of many small MLPs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from thinkport.export.families.qwen3.family import Qwen3
from thinkport.export.families.qwen3_moe import weights
from thinkport.export.families.qwen3_moe.shape import read_mixture
from thinkport.export.families.shape import DecoderShape
from thinkport.export.quantize.equalize import Site

if TYPE_CHECKING:
    import torch

    from thinkport.export.reference.decoder import Decoder
    from thinkport.export.reference.streamed_weights import StreamedWeights


class Qwen3Moe(Qwen3):
    """30B-A3B and 235B-A22B, and mixtures whose layers are not all sparse."""

    model_type = "qwen3_moe"
    genai_type = "qwen3"  # 0.18 refuses this family's own; it tells apart how prompts are fed, not what a graph holds
    expected_tensors = staticmethod(weights.expected_tensors)
    check_weights = staticmethod(weights.check_weights)
    role = staticmethod(weights.role)
    expert_tensors = staticmethod(weights.expert_tensors)

    def shape(self, config: Mapping[str, Any]) -> DecoderShape:
        """See `Family.shape`."""
        return replace(super().shape(config), mixture=read_mixture(config))

    def transformers_classes(self) -> tuple[Any, Any]:
        """See `Family`."""
        from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

        return Qwen3MoeConfig, Qwen3MoeForCausalLM

    def sites(self, shape: DecoderShape) -> list[Site]:
        """See `Family.sites`; all experts and the router read one norm, and every expert has channels of its own."""
        if shape.mixture is None:
            return super().sites(shape)
        sparse = {weights.norm_of(layer): layer for layer in shape.mixture.layers}
        found = [site for site in super().sites(shape) if not weights.stands_in(site, sparse)]
        return [*found, *(site for layer in sparse.values() for site in weights.sites_of(layer, shape.mixture))]

    def decoder(self, streamed: "StreamedWeights", shape: DecoderShape) -> "Decoder":
        """See `Family.decoder`."""
        from thinkport.export.families.qwen3_moe.decoder import MixtureDecoder

        return MixtureDecoder(streamed, shape)

    def build_traceable(
        self, config: Mapping[str, Any], shape: DecoderShape, layers: int
    ) -> "tuple[torch.nn.Module, tuple[Any, ...]]":
        """See `Family.build_traceable`; every layer has the one MLP of a dense layer, which experts replace later."""
        return super().build_traceable({**config, "mlp_only_layers": list(range(layers))}, shape, layers)

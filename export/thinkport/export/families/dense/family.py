"""What all families of dense decoders answer alike. Knows this folder's files; must not know a `model_type`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from thinkport.export.checkpoint import TensorEntry
from thinkport.export.families.dense import weights
from thinkport.export.families.dense.sites import sites
from thinkport.export.families.shape import DecoderShape
from thinkport.export.quantize import Role
from thinkport.export.quantize.equalize import Site
from thinkport.export.quantize.kv_scales import Floats

if TYPE_CHECKING:
    import torch

    from thinkport.export.reference.decoder import Decoder
    from thinkport.export.reference.streamed_weights import StreamedWeights


class DenseFamily(ABC):
    """A `Family` but for what differs: its name, its configuration, its sampling, and transformers' classes."""

    @abstractmethod
    def transformers_classes(self) -> tuple[Any, Any]:
        """transformers' classes of the configuration and of the causal LM."""

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

    def key_divisors(self, layer: int, divisor: Floats, shape: DecoderShape) -> dict[str, Floats]:
        """By the norms' weights where heads are normed, else by the rows of the projections."""

        def named(kind: str) -> tuple[str, str]:
            query, key = (weights.layer_name(layer, f"self_attn.{part}_{kind}") for part in "qk")
            return query, key

        if shape.head_norms:
            query, key = named("norm")
            return {query: np.float32(1) / divisor, key: divisor}
        query, key = named("proj")
        return {query: np.tile(np.float32(1) / divisor, shape.heads), key: np.tile(divisor, shape.kv_heads)}

    @property
    def frequencies_name(self) -> str:
        """A non-persistent buffer of transformers' models."""
        return "model.rotary_emb.inv_freq"

    def decoder(self, streamed: "StreamedWeights", shape: DecoderShape) -> "Decoder":
        """See `DenseDecoder`; imports torch."""
        from thinkport.export.families.dense.decoder import DenseDecoder

        return DenseDecoder(streamed, shape)

    def build_traceable(
        self, config: Mapping[str, Any], shape: DecoderShape, layers: int
    ) -> "tuple[torch.nn.Module, tuple[Any, ...]]":
        """See `wrapper.build_traceable`; imports torch and transformers."""
        from thinkport.export.families.dense.wrapper import build_traceable

        return build_traceable(*self.transformers_classes(), config, shape, layers)

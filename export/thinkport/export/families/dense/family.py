"""What all families of dense decoders answer alike. Knows this folder's files; must not know a `model_type`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from thinkport.export.families.dense import weights
from thinkport.export.families.shape import DecoderShape
from thinkport.export.quantize.equalize import Site
from thinkport.export.quantize.kv_scales import Floats

if TYPE_CHECKING:
    import torch

    from thinkport.export.reference.decoder import Decoder
    from thinkport.export.reference.streamed_weights import StreamedWeights


class DenseFamily(ABC):
    """A `Family` but for what differs: its name, its configuration, its sampling, and transformers' classes."""

    thinking_tokens = ("<think>", "</think>")  # Qwen3's, and distilled models'; Llama's own tokenizer has none
    frequencies_name = "model.rotary_emb.inv_freq"  # a non-persistent buffer of transformers' models
    expected_tensors = staticmethod(weights.expected_tensors)
    check_weights = staticmethod(weights.check_weights)
    role = staticmethod(weights.role)

    @abstractmethod
    def transformers_classes(self) -> tuple[Any, Any]:
        """transformers' classes of the configuration and of the causal LM."""

    def sites(self, shape: DecoderShape) -> list[Site]:
        """Four a layer, and lm_head's where it has a table of its own.

        Left out: gate's rows, which pass an activation; q's and k's, whose channels rotary mixes and head norms level;
        and a tied table's columns, which an embedding looks up as they are.
        """
        found = [site for layer in range(shape.layers) for site in _sites_of(layer, shape)]
        return found if shape.tied else [*found, Site(writer=weights.FINAL_NORM, readers=(weights.LM_HEAD,))]

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


def _sites_of(layer: int, shape: DecoderShape) -> list[Site]:
    def named(*parts: str) -> tuple[str, ...]:
        return tuple(weights.layer_name(layer, part) for part in parts)

    norm, second_norm, value, up = named(
        "input_layernorm", "post_attention_layernorm", "self_attn.v_proj", "mlp.up_proj"
    )
    return [
        Site(writer=norm, readers=named("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        Site(
            writer=value,
            readers=named("self_attn.o_proj"),
            head_dim=shape.head_dim,
            repeats=shape.heads // shape.kv_heads,
        ),
        Site(writer=second_norm, readers=named("mlp.gate_proj", "mlp.up_proj")),
        Site(writer=up, readers=named("mlp.down_proj")),
    ]

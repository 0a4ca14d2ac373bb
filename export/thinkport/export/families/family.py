"""What a family tells the exporter about its architecture. One subclass a `model_type`.

What dense decoders answer alike is answered here. Knows `dense`'s files; must not know a `model_type`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thinkport.export.errors import UnsupportedModelError
from thinkport.export.families.config_reader import disagreements
from thinkport.export.families.dense import weights
from thinkport.export.families.dense.config import greedy
from thinkport.export.families.shape import DecoderShape, MixtureShape
from thinkport.export.quantize.kv_scales import Floats
from thinkport.export.quantize.rotation import Branch
from thinkport.runtime.artifact.manifest import Presets, Reranking
from thinkport.runtime.prompt.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from thinkport.export.reference.decoder import Decoder
    from thinkport.export.reference.streamed_weights import StreamedWeights


@dataclass(frozen=True, kw_only=True)
class ExpertTensors:
    """Names of a sparse layer's tensors, by expert; of each expert, gate and up one after the other."""

    router: str
    gates_and_ups: tuple[str, ...]
    downs: tuple[str, ...]


class Family(ABC):
    """One architecture, a dense decoder where it does not say otherwise. Families hold no state.

    Attributes:
        model_type: the name in `config.json`.
        thinking_tokens: the added tokens that open and close a thought; a checkpoint whose tokenizer lacks them can't
            think.
        genai_type: what onnxruntime-genai calls such a model; None where it knows the `model_type`.
        frequencies_name: the traced model's buffer of rotary frequencies, which no checkpoint holds.
        expected_tensors: every weight that a model of a shape has, with its own shape.
        check_weights: holds a checkpoint's tensors against the expected ones.
        role: what a weight is for, which is what recipes go by.
    """

    model_type: str
    thinking_tokens = ("<think>", "</think>")  # Qwen3's, and distilled models'; Llama's own tokenizer has none
    genai_type: str | None = None
    frequencies_name = "model.rotary_emb.inv_freq"  # a non-persistent buffer of transformers' models
    expected_tensors = staticmethod(weights.expected_tensors)
    check_weights = staticmethod(weights.check_weights)
    role = staticmethod(weights.role)

    @abstractmethod
    def shape(self, config: Mapping[str, Any]) -> DecoderShape:
        """The model's sizes.

        Raises:
            CheckpointError: a key is missing or isn't what it should be.
            UnsupportedModelError: a feature that the export can't express, named.
        """

    @abstractmethod
    def presets(self, generation_config: Mapping[str, Any] | None) -> Presets:
        """Sampling of the two modes: the checkpoint's own values over the family's published ones.

        Raises:
            CheckpointError: a value of the checkpoint's that no sampler could use.
        """

    @staticmethod
    def remarks(config: Mapping[str, Any], generation_config: Mapping[str, Any] | None) -> list[str]:
        """What the configuration files say in an unusual way, and what was made of it, in sentences."""
        told = disagreements(config)
        if greedy(generation_config):
            told.append("generation_config.json has do_sample false: thoughts and answers are greedy by default")
        return told

    def reranking(self, tokenizer: Tokenizer) -> Reranking:
        """How the family's rerankers score a document.

        Raises:
            UnsupportedModelError: none of the family is known.
            CheckpointError: the tokenizer has no token for an answer.
        """
        raise UnsupportedModelError(
            f"no reranker with model_type {self.model_type!r} is known, so what it is to be asked is not either: "
            "export with --task chat"
        )

    def branches(self, shape: DecoderShape) -> list[Branch]:
        """What reads and writes hidden states, two a layer: attention, and the MLP."""
        return [branch for layer in range(shape.layers) for branch in weights.branches_of(layer)]

    def key_divisors(self, layer: int, divisor: Floats, shape: DecoderShape) -> dict[str, Floats]:
        """What rows of which tensors are divided by, float32 (rows,) by name, so that a layer's keys are divided by
        `divisor` (kv_heads, head_dim) before rotary, and its queries multiplied.

        By the norms' weights where heads are normed, for which all heads have one divisor, (1, head_dim); else by the
        rows of the projections and of their biases.
        """
        kind, heads = ("norm", 1) if shape.head_norms else ("proj", shape.heads // shape.kv_heads)
        rows = {"q": np.repeat(np.float32(1) / divisor, heads, axis=0).reshape(-1), "k": divisor.reshape(-1)}
        found = {weights.layer_name(layer, f"self_attn.{part}_{kind}"): by for part, by in rows.items()}
        return found | ({weights.bias_of(layer, part): by for part, by in rows.items()} if shape.qkv_bias else {})

    @staticmethod
    def expert_tensors(layer: int, mixture: MixtureShape) -> ExpertTensors:
        """The tensors of a layer with experts; asked where the shape has such layers."""
        raise NotImplementedError(f"a family with experts names those of layer {layer}")

    def decoder(self, streamed: "StreamedWeights", shape: DecoderShape) -> "Decoder":
        """The model in float32 over a checkpoint's streamed weights; imports torch."""
        from thinkport.export.families.dense.decoder import DenseDecoder

        return DenseDecoder(streamed, shape)

    def build_traceable(
        self, config: Mapping[str, Any], shape: DecoderShape, layers: int
    ) -> "tuple[torch.nn.Module, tuple[Any, ...]]":
        """The model with its cache as input and output, `layers` deep, on the meta device, and sample inputs.

        A layer with experts is traced with one MLP in their place, named as a dense decoder's (see `passes.experts`).

        Inputs in order: ids (batch, sequence), mask (batch, past + sequence), a list of (key, value) pairs. Outputs:
        logits, then the pairs. Imports torch and transformers.
        """
        from thinkport.export.families.dense.wrapper import build_traceable

        return build_traceable(self.model_type, config, shape, layers)

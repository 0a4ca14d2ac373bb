"""What a family must tell the exporter about its architecture. One implementation a `model_type`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from thinkport.export.checkpoint import TensorEntry
from thinkport.export.families.shape import DecoderShape
from thinkport.export.quantize.equalize import Site
from thinkport.export.quantize.kv_scales import Floats
from thinkport.export.quantize.recipes import Role
from thinkport.runtime.artifact.manifest import Presets

if TYPE_CHECKING:
    import torch

    from thinkport.export.reference.decoder import Decoder
    from thinkport.export.reference.streamed_weights import StreamedWeights


class Family(Protocol):
    """One architecture. Implementations hold no state.

    Attributes:
        model_type: the name in `config.json`.
        thinking_tokens: the added tokens that open and close a thought; a checkpoint whose tokenizer lacks them can't
            think.
        frequencies_name: the traced model's buffer of rotary frequencies, which no checkpoint holds.
    """

    model_type: str
    thinking_tokens: tuple[str, str]
    frequencies_name: str

    def shape(self, config: Mapping[str, Any]) -> DecoderShape:
        """The model's sizes.

        Raises:
            CheckpointError: a key is missing or isn't what it should be.
            UnsupportedModelError: a feature that the export can't express, named.
        """

    def expected_tensors(self, shape: DecoderShape) -> dict[str, tuple[int, ...]]:
        """Every weight that such a model has, and its shape."""

    def check_weights(self, tensors: Mapping[str, TensorEntry], shape: DecoderShape) -> None:
        """Hold a checkpoint's tensors against the expected ones.

        Raises:
            CheckpointError: one is missing, or config and weights disagree.
            UnsupportedModelError: one that the family doesn't know.
        """

    def role(self, name: str) -> Role:
        """What a weight is for, which is what recipes go by.

        Raises:
            KeyError: not a weight of this family.
        """

    def sites(self, shape: DecoderShape) -> list[Site]:
        """Channels that can be scaled where they are made and back where they are read, in any order."""

    def key_divisors(self, layer: int, divisor: Floats, shape: DecoderShape) -> dict[str, Floats]:
        """What rows of which tensors are divided by, float32 (rows,) by name, so that a layer's keys are divided by
        `divisor` (head_dim,) before rotary, and its queries multiplied.
        """

    def presets(self, generation_config: Mapping[str, Any] | None) -> Presets:
        """Sampling of the two modes: the checkpoint's own values over the family's published ones.

        Raises:
            CheckpointError: a value of the checkpoint's that no sampler could use.
        """

    def decoder(self, streamed: "StreamedWeights", shape: DecoderShape) -> "Decoder":
        """The model in float32 over a checkpoint's streamed weights."""

    def build_traceable(
        self, config: Mapping[str, Any], shape: DecoderShape, layers: int
    ) -> "tuple[torch.nn.Module, tuple[Any, ...]]":
        """The model with its cache as input and output, `layers` deep, on the meta device, and sample inputs.

        Inputs in order: ids (batch, sequence), mask (batch, past + sequence), a list of (key, value) pairs. Outputs:
        logits, then the pairs.
        """

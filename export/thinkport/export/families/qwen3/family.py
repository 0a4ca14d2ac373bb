"""The dense Qwen3 as a `Family`: what the exporter asks, answered by this folder's files."""

from collections.abc import Mapping
from typing import Any

from thinkport.export.checkpoint import TensorEntry
from thinkport.export.families.qwen3 import weights
from thinkport.export.families.qwen3.shape import Qwen3Shape
from thinkport.export.families.shape import DecoderShape
from thinkport.export.quantize import Role


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

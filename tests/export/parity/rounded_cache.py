"""transformers' own cache, whose keys and values are rounded as an artifact's cache rounds them, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import torch
from onnx.numpy_helper import to_array
from transformers import DynamicCache

if TYPE_CHECKING:
    from pathlib import Path


class RoundedCache(DynamicCache):  # type: ignore[misc]  # transformers hides its type
    """Holds only what the artifact's int8 cache could, by the scales in its graph."""

    def __init__(self, artifact: Path) -> None:
        super().__init__()
        tensors = onnx.load(artifact / "cpu.onnx", load_external_data=False).graph.initializer
        self.scales = {t.name: torch.from_numpy(to_array(t).copy()) for t in tensors if t.name.endswith("_scale")}

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *rest: Any, **more: Any):
        key, value = self.rounded(key_states, layer_idx, "k"), self.rounded(value_states, layer_idx, "v")
        return super().update(key, value, layer_idx, *rest, **more)

    def rounded(self, states: torch.Tensor, layer: int, part: str) -> torch.Tensor:
        """(batch, kv_heads, tokens, head_dim) as codes times scales."""
        scale = self.scales[f"model.layers.{layer}.self_attn.{part}_scale"]
        return (states / scale).round().clamp(-128, 127) * scale

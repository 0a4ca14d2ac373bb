"""transformers' own cache, whose keys and values are rounded as an artifact's cache rounds them, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import torch
from onnx.numpy_helper import to_array
from transformers import DynamicCache

if TYPE_CHECKING:
    from pathlib import Path

    from tests.export.parity.reference import Reference


class RoundedCache(DynamicCache):  # type: ignore[misc]  # transformers hides its type
    """Holds only what the artifact's int8 cache could, by the scales in its graph.

    The graph's keys are those of `reference` divided by a number a channel, which its norm's weights tell. Its values
    lack a center a channel, which is minus what is added to them.
    """

    def __init__(self, artifact: Path, reference: Reference) -> None:
        super().__init__()
        tensors = onnx.load(artifact / "cpu.onnx", load_external_data=False).graph.initializer
        read = {
            t.name: torch.from_numpy(to_array(t, str(artifact)).copy())
            for t in tensors
            if t.name.endswith(("_scale", "k_norm.weight", "v_center"))
        }
        self.shifts = {name: value for name, value in read.items() if name.endswith("v_center")}
        self.scales = {name: value for name, value in read.items() if name.endswith("_scale")}
        for layer, block in enumerate(reference.model.model.layers):
            stem = f"model.layers.{layer}.self_attn"
            if f"{stem}.k_norm.weight" in read:  # without norms the artifact's projections are divided, and so theirs
                divisors = block.self_attn.k_norm.weight.detach() / read[f"{stem}.k_norm.weight"]
                self.scales[f"{stem}.k_scale"] = self.scales[f"{stem}.k_scale"] * divisors

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *rest: Any, **more: Any):
        _, heads, _, width = value_states.shape
        shift = self.shifts[f"model.layers.{layer_idx}.self_attn.v_center"][-heads * width :].reshape(heads, 1, width)
        key, value = (
            self.rounded(key_states, layer_idx, "k"),
            self.rounded(value_states + shift, layer_idx, "v") - shift,
        )
        return super().update(key, value, layer_idx, *rest, **more)

    def rounded(self, states: torch.Tensor, layer: int, part: str) -> torch.Tensor:
        """(batch, kv_heads, tokens, head_dim) as codes times scales."""
        scale = self.scales[f"model.layers.{layer}.self_attn.{part}_scale"]
        return (states / scale).round().clamp(-128, 127) * scale

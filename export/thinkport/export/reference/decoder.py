"""A checkpoint's forward pass as functions of streamed weights: what `Family.decoder` gives.

Knows tensors; must not know any one model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch


@dataclass(frozen=True)
class Packed:
    """Sequences laid one after another along the token dimension, by their lengths."""

    lengths: tuple[int, ...]

    @property
    def slices(self) -> list[slice]:
        """Where each sequence lies."""
        return [slice(end - length, end) for length, end in zip(self.lengths, accumulate(self.lengths), strict=True)]

    @property
    def positions(self) -> torch.Tensor:
        """Each token's position in its own sequence, int64 (tokens,)."""
        return torch.cat([torch.arange(length) for length in self.lengths])


Observe = Callable[[torch.Tensor, torch.Tensor], None]
"""Sees what a KV cache holds of a layer: keys, turned by rotary, and values, each (tokens, kv_heads, head_dim)."""


class Decoder(Protocol):
    """One family's forward pass over packed tokens, in float32.

    `largest` is the largest magnitude so far of what a graph holds between its operators: hidden states, and what goes
    into and comes out of matrices, logits left out.
    """

    largest: float

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (tokens,) to hidden states (tokens, hidden)."""

    def layer(self, index: int, hidden: torch.Tensor, packed: Packed, observe: Observe | None = None) -> torch.Tensor:
        """Hidden states after a layer, whose keys and values are shown to `observe`."""

    def head_inputs(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states after the last layer to what `lm_head` is multiplied with (tokens, hidden)."""

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states after the last layer to logits (tokens, vocabulary)."""

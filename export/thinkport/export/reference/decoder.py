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


@dataclass
class Loudness:
    """The largest magnitudes so far of what a graph holds between its operators: hidden states, and what goes into and
    comes out of matrices, logits left out.

    Apart for the first token of a sequence: nothing precedes it, and what it computes hardly depends on which token it
    is. Trained models make a few of its channels very large, to attend to where there is nothing to attend to (massive
    activations, arXiv 2402.17762).
    """

    first: float = 0.0
    later: float = 0.0

    def see(self, values: torch.Tensor, first: torch.Tensor) -> None:
        """Take values (tokens, …) of tokens of which `first`, bool (tokens,), says which begin a sequence."""
        rows = values.detach().flatten(1)
        magnitudes = torch.maximum(rows.amax(1), -rows.amin(1))  # seven times as fast as of `rows.abs()`
        self.first = max(self.first, float(torch.where(first, magnitudes, 0).max()))
        self.later = max(self.later, float(torch.where(first, 0, magnitudes).max()))


Observe = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]
"""Sees what a KV cache holds of a layer: keys, turned by rotary, and values, each (tokens, kv_heads, head_dim); and
what attention adds to the hidden states, (tokens, hidden)."""


class Decoder(Protocol):
    """One family's forward pass over packed tokens, in float32; `loudness` is that of all layers so far."""

    loudness: Loudness

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (tokens,) to hidden states (tokens, hidden)."""

    def layer(self, index: int, hidden: torch.Tensor, packed: Packed, observe: Observe | None = None) -> torch.Tensor:
        """Hidden states after a layer, whose keys and values are shown to `observe`."""

    def head_inputs(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states after the last layer to what `lm_head` is multiplied with (tokens, hidden)."""

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states after the last layer to logits (tokens, vocabulary); without an lm_head, as `head_inputs`."""

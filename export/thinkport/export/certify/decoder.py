"""A checkpoint's forward pass as functions of streamed weights: what a family supplies to be certified.

Written from the architecture's own description and not by transformers, whose models hold every weight at once.
Another family is one class with the methods of `Decoder` and one line in `DECODERS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention, silu

from thinkport.export.certify.streamed_weights import StreamedWeights
from thinkport.export.families import DecoderShape, cos_sin_tables
from thinkport.export.families.qwen3.weights import EMBEDDING, FINAL_NORM, LM_HEAD, layer_name


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

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states after the last layer to logits (tokens, vocabulary)."""


class Qwen3Decoder:
    """The dense Qwen3 (arXiv 2505.09388): pre-norm, a norm on every Q and K head, rotary, grouped KV heads, SwiGLU."""

    def __init__(self, weights: StreamedWeights, shape: DecoderShape) -> None:
        self._weights, self._shape = weights, shape
        self.largest = 0.0

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        return self._weights.rows(EMBEDDING, ids)

    def layer(self, index: int, hidden: torch.Tensor, packed: Packed, observe: Observe | None = None) -> torch.Tensor:
        """See `Decoder`."""
        normed = self._norm(layer_name(index, "input_layernorm"), hidden)
        hidden = self._seen(hidden + self._attention(index, normed, packed, observe))
        return self._seen(hidden + self._mlp(index, self._norm(layer_name(index, "post_attention_layernorm"), hidden)))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        return self._weights.linear(EMBEDDING if self._shape.tied else LM_HEAD, self._norm(FINAL_NORM, hidden))

    def _attention(self, index: int, hidden: torch.Tensor, packed: Packed, observe: Observe | None) -> torch.Tensor:
        def heads(part: str) -> torch.Tensor:
            flat = self._seen(self._weights.linear(layer_name(index, f"self_attn.{part}_proj"), hidden))
            return flat.reshape(len(flat), -1, self._shape.head_dim)

        cos, sin = self._rotary(packed)
        query = rotate(self._norm(layer_name(index, "self_attn.q_norm"), heads("q")), cos, sin)
        key = rotate(self._norm(layer_name(index, "self_attn.k_norm"), heads("k")), cos, sin)
        value = heads("v")
        if observe is not None:
            observe(key, value)
        mixed = causal_attention(query, key, value, packed)
        return self._weights.linear(layer_name(index, "self_attn.o_proj"), mixed.flatten(1))

    def _mlp(self, index: int, hidden: torch.Tensor) -> torch.Tensor:
        gate = silu(self._seen(self._weights.linear(layer_name(index, "mlp.gate_proj"), hidden)))
        up = self._seen(self._weights.linear(layer_name(index, "mlp.up_proj"), hidden))
        return self._seen(self._weights.linear(layer_name(index, "mlp.down_proj"), self._seen(gate * up)))

    def _seen(self, hidden: torch.Tensor) -> torch.Tensor:
        self.largest = max(self.largest, float(hidden.abs().max()))
        return hidden

    def _norm(self, name: str, hidden: torch.Tensor) -> torch.Tensor:
        mean_square = hidden.square().mean(-1, keepdim=True)
        return self._weights.vector(name) * (hidden * torch.rsqrt(mean_square + self._shape.rms_eps))

    def _rotary(self, packed: Packed) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine of every token, (tokens, 1, head_dim / 2)."""
        cos, sin = cos_sin_tables(self._shape, max(packed.lengths))
        return torch.from_numpy(cos)[packed.positions, None], torch.from_numpy(sin)[packed.positions, None]


DECODERS: Mapping[str, Callable[[StreamedWeights, DecoderShape], Decoder]] = MappingProxyType({"qwen3": Qwen3Decoder})


def rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn channel i of the first half of each head against channel i of the second: (tokens, heads, head_dim)."""
    first, second = heads.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def causal_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Packed) -> torch.Tensor:
    """Each sequence over itself; query (tokens, heads, head_dim), key and value with fewer heads that are shared."""
    shared = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    mixed = torch.empty_like(query)
    for part in packed.slices:
        q, k, v = (tensor[part].transpose(0, 1)[None] for tensor in (query, key, value))
        mixed[part] = scaled_dot_product_attention(q, k, v, is_causal=True)[0].transpose(0, 1)
    return mixed

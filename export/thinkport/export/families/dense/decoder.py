"""The dense decoder in float32, a block of a matrix at a time.

Written from the architecture's own description and not by transformers, whose models hold every weight at once.
"""

import torch
from torch.nn.functional import scaled_dot_product_attention, silu

from thinkport.export.families.dense.weights import EMBEDDING, FINAL_NORM, LM_HEAD, bias_of, layer_name
from thinkport.export.families.rope import cos_sin_tables
from thinkport.export.families.shape import DecoderShape
from thinkport.export.reference.decoder import Loudness, Observe, Packed
from thinkport.export.reference.streamed_weights import StreamedWeights


class DenseDecoder:
    """Pre-norm, rotary, grouped KV heads, SwiGLU (Llama 3, arXiv 2407.21783), with norms on Q and K heads (Qwen3, arXiv
    2505.09388) or biases on q, k and v (Qwen2, arXiv 2407.10671) if the shape has them.
    """

    def __init__(self, weights: StreamedWeights, shape: DecoderShape) -> None:
        self._weights, self._shape = weights, shape
        self.loudness = Loudness()

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        return self._weights.turned(self._weights.rows(EMBEDDING, ids))

    def layer(self, index: int, hidden: torch.Tensor, packed: Packed, observe: Observe | None = None) -> torch.Tensor:
        """See `Decoder`."""
        self._first = packed.positions == 0
        if index == 0:
            self._seen(self._weights.turned(hidden))  # a graph holds embeddings as they are, and then turns them
        normed = self._norm(layer_name(index, "input_layernorm"), hidden)
        hidden = self._seen(hidden + self._attention(index, normed, packed, observe))
        return self._seen(hidden + self._mlp(index, self._norm(layer_name(index, "post_attention_layernorm"), hidden)))

    def head_inputs(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        return self._norm(FINAL_NORM, self._weights.turned(hidden))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        outputs = self.head_inputs(hidden)
        return (
            self._weights.linear(EMBEDDING if self._shape.tied else LM_HEAD, outputs) if self._shape.head else outputs
        )

    def _attention(self, index: int, hidden: torch.Tensor, packed: Packed, observe: Observe | None) -> torch.Tensor:
        def heads(part: str) -> torch.Tensor:
            flat = self._weights.linear(layer_name(index, f"self_attn.{part}_proj"), hidden)
            if self._shape.qkv_bias:
                flat = flat + self._weights.vector(bias_of(index, part))
            return self._seen(flat).reshape(len(flat), -1, self._shape.head_dim)

        cos, sin = self._rotary(packed)
        query, key, value = heads("q"), heads("k"), heads("v")
        if self._shape.head_norms:
            query = self._norm(layer_name(index, "self_attn.q_norm"), query)
            key = self._norm(layer_name(index, "self_attn.k_norm"), key)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        mixed = causal_attention(query, key, value, packed)
        attended = self._weights.linear(layer_name(index, "self_attn.o_proj"), mixed.flatten(1))
        if observe is not None:
            observe(key, value, attended)
        return attended

    def _mlp(self, index: int, hidden: torch.Tensor) -> torch.Tensor:
        gate = silu(self._seen(self._weights.linear(layer_name(index, "mlp.gate_proj"), hidden)))
        up = self._seen(self._weights.linear(layer_name(index, "mlp.up_proj"), hidden))
        return self._seen(self._weights.linear(layer_name(index, "mlp.down_proj"), self._seen(gate * up)))

    def _seen(self, hidden: torch.Tensor, tokens: torch.Tensor | None = None) -> torch.Tensor:
        """What the layer's tokens compute, or those of them whose indices `tokens` has."""
        self.loudness.see(hidden, self._first if tokens is None else self._first[tokens])
        return hidden

    def _norm(self, name: str, hidden: torch.Tensor) -> torch.Tensor:
        mean_square = hidden.square().mean(-1, keepdim=True)
        return self._weights.vector(name) * (hidden * torch.rsqrt(mean_square + self._shape.rms_eps))

    def _rotary(self, packed: Packed) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine of every token, (tokens, 1, head_dim / 2)."""
        cos, sin = cos_sin_tables(self._shape, max(packed.lengths))
        return torch.from_numpy(cos)[packed.positions, None], torch.from_numpy(sin)[packed.positions, None]


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

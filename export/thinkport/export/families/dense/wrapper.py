"""A causal LM as a function of ids, mask and (past key, past value) pairs, ready to be traced.

Knows transformers' cache class. Must not know ONNX or how a graph is rewritten.
"""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.cache_utils import DynamicCache

from thinkport.export.families.shape import DecoderShape

KvPair = tuple[torch.Tensor, torch.Tensor]
_UNWANTED = ("model_type", "layer_types", "torch_dtype", "dtype")  # of config.json, for a model of a few layers


class CachedDecoder(torch.nn.Module):
    """A causal LM whose KV cache is an input and an output.

    Positions are counted from the attention mask, so rows of unequal length (right-padded prefill, then decode) keep
    their own positions, as GroupQueryAttention counts them. The mask is spelled out here (causal and not padding)
    rather than left to transformers, whose own builder traces into data-dependent branches.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, past: list[KvPair]
    ) -> tuple[torch.Tensor, list[KvPair]]:
        """One step.

        Args:
            input_ids: int64 (batch, sequence).
            attention_mask: int64 (batch, past + sequence), 1 for a token and 0 for padding.
            past: a (key, value) pair a layer, each (batch, kv_heads, past, head_dim).

        Returns:
            Logits (batch, sequence, vocab) and the pairs with the new tokens appended.
        """
        seen = past[0][0].shape[2]
        query = torch.arange(input_ids.shape[1], device=input_ids.device)[:, None] + seen
        key = torch.arange(attention_mask.shape[1], device=input_ids.device)[None, :]
        visible = (key <= query)[None, None] & (attention_mask[:, None, None, :] > 0)
        positions = (attention_mask.cumsum(1) - 1)[:, seen:]
        cache = DynamicCache(past)
        # By place: transformers 5.24 calls the fourth argument `cache`, versions before it `past_key_values`.
        output = self.model(input_ids, visible, positions, cache, use_cache=True)
        return output.logits, [(layer.keys, layer.values) for layer in cache.layers]


def build_traceable(
    model_type: str, config: Mapping[str, Any], shape: DecoderShape, layers: int
) -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """transformers' model in the wrapper, on the meta device, and sample inputs.

    No dynamic dimension of a sample is 0 or 1, which the tracer would take for a constant.

    Args:
        model_type: transformers' name of the family.
        config: the content of config.json.
        shape: the model's sizes.
        layers: decoder layers of the traced model.
    """
    batch, sequence, seen = 2, 3, 5
    settings = {key: value for key, value in config.items() if key not in _UNWANTED} | {"num_hidden_layers": layers}
    parsed = AutoConfig.for_model(model_type, **settings)
    with torch.device("meta"):
        wrapper = CachedDecoder(AutoModelForCausalLM.from_config(parsed, attn_implementation="sdpa").eval())
        ids = torch.zeros(batch, sequence, dtype=torch.int64)
        mask = torch.ones(batch, seen + sequence, dtype=torch.int64)
        size = (batch, shape.kv_heads, seen, shape.head_dim)
        past = [(torch.zeros(size), torch.zeros(size)) for _ in range(layers)]
    return wrapper, (ids, mask, past)

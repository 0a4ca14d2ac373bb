"""Names of graph inputs and outputs, the ecosystem's, and of weights, the checkpoint's; and the opset."""

import re

OPSET = 21  # the newest that DirectML's kernels take (docs of onnxruntime-directml 1.24.4)
INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
POSITION_IDS = "position_ids"
LOGITS = "logits"
HIDDEN = "last_hidden_state"  # of a model without an lm_head, in its place
ANSWERS = (LOGITS, HIDDEN)
LOGITS_TO_KEEP = "logits_to_keep"
ROWS = "rows"  # the dimension of logits that `logits_to_keep` decides
EMBEDDING = "model.embed_tokens.weight"
LM_HEAD = "lm_head.weight"

_KV = re.compile(r"(?:past_key_values|present)\.(\d+)\.(?:key|value)")
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_NUMBER = re.compile(r"((?:^|\.)layers\.|^past_key_values\.)\d+(?=\.)")


def past_name(layer: int, part: str) -> str:
    """`past_key_values.N.key` or `.value`."""
    return f"past_key_values.{layer}.{part}"


def present_name(layer: int, part: str) -> str:
    """`present.N.key` or `.value`."""
    return f"present.{layer}.{part}"


def kv_layer(name: str) -> int | None:
    """The layer whose keys or values a graph's input or output holds, by its name; None for another."""
    found = _KV.fullmatch(name)
    return int(found[1]) if found else None


def layer_of(name: str) -> int | None:
    """The layer of a weight by its checkpoint name; None for one outside the layers."""
    found = _LAYER.search(name)
    return int(found.group(1)) if found else None


def with_layer(name: str, layer: int) -> str:
    """The name of the same weight, keys or values in another layer; other names stay as they are."""
    return _NUMBER.sub(rf"\g<1>{layer}", name, count=1)

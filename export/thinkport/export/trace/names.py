"""Names of graph inputs, outputs and weights, the ecosystem's for IO and the checkpoint's for weights; the opset."""

import re

OPSET = 21  # the newest that DirectML's kernels take (docs of onnxruntime-directml 1.24.4)
INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
POSITION_IDS = "position_ids"
LOGITS = "logits"
LOGITS_TO_KEEP = "logits_to_keep"
ROWS = "rows"  # the dimension of logits that `logits_to_keep` decides
EMBEDDING = "model.embed_tokens.weight"
LM_HEAD = "lm_head.weight"

_PAST = re.compile(r"past_key_values\.(\d+)\.(?:key|value)")
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")


def past_name(layer: int, part: str) -> str:
    """`past_key_values.N.key` or `.value`."""
    return f"past_key_values.{layer}.{part}"


def present_name(layer: int, part: str) -> str:
    """`present.N.key` or `.value`."""
    return f"present.{layer}.{part}"


def past_layer(name: str) -> int | None:
    """The layer whose keys or values the graph input `name` holds, None for another input."""
    found = _PAST.fullmatch(name)
    return int(found.group(1)) if found else None


def past_of(present: str) -> str | None:
    """The input that takes what the output `present` gave in the step before, None for another output."""
    name = present.replace("present.", "past_key_values.", 1)
    return name if _PAST.fullmatch(name) and name != present else None


def layer_of(name: str) -> int | None:
    """The layer a weight belongs to by its checkpoint name, None for one outside the layers."""
    found = _LAYER.search(name)
    return int(found.group(1)) if found else None


def with_layer(name: str, layer: int) -> str:
    """The same weight's name in another layer."""
    return _LAYER.sub(lambda m: m.group(0).replace(m.group(1), str(layer)), name, count=1)

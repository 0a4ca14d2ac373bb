"""Whether a checkpoint that calls itself tied really has one table for its embedding and its lm_head.

Fine-tuning programs store a head of its own beside a config.json that still says tied. The weights decide, as they do
in transformers (`PreTrainedModel.tie_weights`): two tables that differ are two. Knows the names of the two tables.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from thinkport.export.checkpoint.safetensors_file import TensorEntry, read_raw

EMBEDDING, LM_HEAD, TIED = "model.embed_tokens.weight", "lm_head.weight", "tie_word_embeddings"
_BLOCK = 32 << 20  # bytes of each table that are compared at once


def told_apart(
    tensors: Mapping[str, TensorEntry], config: Mapping[str, Any]
) -> tuple[dict[str, TensorEntry], dict[str, Any], list[str]]:
    """Tensors and configuration as the two tables are, and in words what was decided; nothing where they agree.

    Raises:
        CheckpointError: a table can't be read.
    """
    kept, embedding, head = dict(tensors), tensors.get(EMBEDDING), tensors.get(LM_HEAD)
    if config.get(TIED) is not True or head is None:
        return kept, dict(config), []
    if embedding is None:
        del kept[LM_HEAD]
        kept[EMBEDDING] = replace(head, name=EMBEDDING)
        return kept, dict(config), [f"{LM_HEAD} is the embedding too: {TIED} is true and {EMBEDDING} is missing"]
    if _same(embedding, head):
        return kept, dict(config), []
    said = (
        f"the model is not tied: config.json says {TIED} true, and {LM_HEAD} differs from {EMBEDDING}; both are used, "
        "as transformers does"
    )
    return kept, {**config, TIED: False}, [said]


def _same(one: TensorEntry, other: TensorEntry) -> bool:
    """Whether two tables hold the same numbers."""
    if one.shape != other.shape or len(one.shape) != 2 or not (one.is_float and other.is_float):
        return False
    raw = one.dtype == other.dtype and not (one.is_quantized or other.is_quantized)
    step = max(1, _BLOCK // (4 * max(1, one.row_weights)))
    for start in range(0, one.shape[0], step):
        stop = min(start + step, one.shape[0])
        if raw:
            same = np.array_equal(read_raw(one, start, stop), read_raw(other, start, stop))
        else:
            same = np.array_equal(one.rows(start, stop), other.rows(start, stop))
        if not same:
            return False
    return True

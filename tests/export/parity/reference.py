"""transformers' own model as the yardstick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import AutoModelForCausalLM

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from transformers import Cache


class Reference:
    """The checkpoint in fp32."""

    def __init__(self, checkpoint: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self.vocabulary = self.model.config.vocab_size

    def logits(self, ids: NDArray[np.int64], keep: int = 0, cache: Cache | None = None) -> NDArray[np.float32]:
        """Logits (batch, keep or sequence, vocabulary) of ids without padding, over an empty `cache` of any kind."""
        with torch.no_grad():
            return self.model(torch.from_numpy(ids), None, None, cache, logits_to_keep=keep).logits.numpy()


def fresh_ids(vocabulary: int, *shape: int) -> NDArray[np.int64]:
    """New random ids every run; pytest shows them through the failing assertion's seed."""
    seed = int(np.random.default_rng().integers(1 << 31))
    print(f"ids of seed {seed}")
    return np.random.default_rng(seed).integers(0, vocabulary, shape)

"""transformers' own model as the yardstick."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from transformers import Cache

_LEAD = 1e-4  # logits; sums differ by some 1e-6


class Reference:
    """The checkpoint in fp32."""

    def __init__(self, checkpoint: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self.vocabulary = self.model.config.vocab_size

    def logits(self, ids: NDArray[np.int64], keep: int = 0, cache: Cache | None = None) -> NDArray[np.float32]:
        """Logits (batch, keep or sequence, vocabulary) of ids without padding, over an empty `cache` of any kind."""
        with torch.no_grad():
            return self.model(torch.from_numpy(ids), None, None, cache, logits_to_keep=keep).logits.numpy()

    def ids(self, *shape: int) -> NDArray[np.int64]:
        """New random ids (batch, sequence) between whose experts no router is undecided.

        Float32 sums in another order choose either of two experts that are nearly equal, and all later logits differ.
        """
        for _ in range(100):
            ids = fresh_ids(self.vocabulary, *shape)
            if self._least_lead(ids) > _LEAD:
                return ids
        raise AssertionError("a router is undecided in each of 100 draws: are two experts equal?")

    def _least_lead(self, ids: NDArray[np.int64]) -> float:
        """By how much the last expert that is taken leads the next one, in logits; infinite without experts."""
        found: list[float] = []

        def look(_module: Any, _inputs: Any, out: Any) -> None:
            ranked = out[0].float().sort(-1, descending=True).values
            taken = self.model.config.num_experts_per_tok
            found.append(float((ranked[:, taken - 1] - ranked[:, taken]).min()))

        routers = [module for name, module in self.model.named_modules() if name.endswith("mlp.gate")]
        hooks = [router.register_forward_hook(look) for router in routers]
        if hooks:
            self.logits(ids, keep=1)
        for hook in hooks:
            hook.remove()
        return min(found, default=math.inf)


def fresh_ids(vocabulary: int, *shape: int) -> NDArray[np.int64]:
    """New random ids every run; pytest shows them through the failing assertion's seed."""
    seed = int(np.random.default_rng().integers(1 << 31))
    print(f"ids of seed {seed}")
    return np.random.default_rng(seed).integers(0, vocabulary, shape)

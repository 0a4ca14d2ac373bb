"""Making the end of a thought likelier as its budget runs out, where a sentence or a line ends.

Pure functions and what they remember of the vocabulary. Must not know budgets' reasons or how tokens are drawn.
"""

import re

import numpy as np

from thinkport.runtime.engine.sampling import Row
from thinkport.runtime.prompt.tokenizer import Tokenizer, token_bytes

LEAD = 4.0  # logits that closing is ahead of the likeliest token by, where the budget ends
_ENDS = re.compile(r"(\n|[.!?…。！？][\"')\]”’»*_]*)[ \t]*$")


class Boundaries:
    """Which ids of a vocabulary end a sentence or a line; each is looked at once."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._known: dict[int, bool] = {}

    def ends(self, id: int) -> bool:  # noqa: A002 - the domain's word
        """Whether a sentence or a line may be over after this id."""
        if id not in self._known:
            text = token_bytes(self._tokenizer.token(id) or "").decode(errors="replace")
            self._known[id] = _ENDS.search(text) is not None
        return self._known[id]


def progress(tokens: int, soft_from: float, budget: int) -> float:
    """How far a thought of `tokens` is from where closing begins to be likelier (0) to the budget (1)."""
    begin = soft_from * budget
    return min(1.0, max(0.0, (tokens - begin) / (budget - begin))) if budget > begin else 1.0


def raise_logit(logits: Row, id: int, share: float, most: float) -> bool:  # noqa: A002 - the domain's word
    """Lift the logit of `id` in place by a share of what it lacks to be LEAD above the likeliest, or of `most` if less.

    What it lacks is the model's own opinion: where closing is nearly as likely as going on, it comes first. Returns
    whether the id was not the likeliest before.
    """
    best = float(np.max(logits))
    behind = best - float(logits[id])
    logits[id] += np.float32(share * min(behind + LEAD, most))
    return behind > 0

"""What the model thought of a token that was drawn: its log probability, and those of the likeliest tokens.

Knows rows of logits and ids. Must not know text, nor how a token is drawn: probabilities are the model's own, before
penalties, temperature and truncation.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """A drawn token's log probability in nats, and the likeliest tokens at its place with theirs, likeliest first."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class LogprobRecorder:
    """Takes note of the tokens of one reply as they are drawn."""

    def __init__(self, top: int = 0):
        """`top` is how many of the likeliest tokens are noted beside the drawn one."""
        self._top = top
        self._last: TokenLogprob | None = None

    def record(self, logits: npt.NDArray[np.float32], token: int) -> None:
        """Note `token`, drawn from `logits` (vocabulary,)."""
        largest = float(logits.max())
        normalizer = largest + float(np.log(np.exp(logits - largest, dtype=np.float64).sum()))
        likeliest = np.argpartition(logits, -self._top)[-self._top :] if self._top else np.empty(0, np.int64)
        order = likeliest[np.argsort(-logits[likeliest])]
        top = tuple((int(each), float(logits[each]) - normalizer) for each in order)
        self._last = TokenLogprob(id=token, logprob=float(logits[token]) - normalizer, top=top)

    def take(self) -> TokenLogprob | None:
        """What was noted since the last time; None for a token that was not drawn."""
        last, self._last = self._last, None
        return last

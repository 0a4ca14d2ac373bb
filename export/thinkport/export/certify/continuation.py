"""A prompt and what a graph says after it greedily, where a guess may spare it to be asked token by token.

A guess is another graph's whole text. All of it goes through the graph at once; what the graph chooses is taken up to
where it is no longer what was guessed, as in speculative decoding (Leviathan, Kalman and Matias, 2023).
Knows ids; must not know the graph.
"""

import numpy as np

from thinkport.export.certify.part_step import Text
from thinkport.export.reference.logits import Ids


class Continuation(Text):
    """A text of which `tokens` more are wanted; `said` are its ids so far, of which `cached` are in the KV caches."""

    def __init__(self, prompt: Ids, tokens: int, guess: Ids | None = None) -> None:
        super().__init__(capacity=len(prompt) + tokens)
        self.said, self.cached = prompt, 0
        self._guess = guess

    @property
    def done(self) -> bool:
        """Whether all wanted tokens are said."""
        return len(self.said) == self.capacity

    @property
    def ahead(self) -> Ids:
        """The ids that go through the graph next, guessed ones among them."""
        return self.said if self._guess is None else self._guess[: self.capacity - 1]

    def take(self, chosen: Ids) -> None:
        """Take what the graph chooses after each id of `ahead` from the last one said on."""
        guess, self._guess = self.ahead, None
        for token in chosen:
            self.said = np.append(self.said, token)
            if not np.array_equal(guess[: len(self.said)], self.said):
                break
        self.cached = len(self.said) - 1

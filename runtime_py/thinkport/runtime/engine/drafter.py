"""Guesses for one reply: where they come from, how many are worth it, which came true.

Knows ids and seconds. Must not know how a guess is verified.
"""

from collections.abc import Sequence

from thinkport.runtime.engine.draft_policy import DraftPolicy
from thinkport.runtime.engine.prompt_lookup import PromptLookup


class Drafter:
    """Drafts of one reply to `prompt`; without a policy it guesses nothing and costs nothing."""

    def __init__(self, prompt: Sequence[int], policy: DraftPolicy | None = None):
        """`policy` is the conversation's, which learns from reply to reply."""
        self.drafted = self.accepted = 0  # tokens guessed, and those of them that came
        self.right = 0  # tokens of the present guess that came
        self._guess: list[int] = []
        self._seconds: float | None = None  # of the step that ran the guess
        self._policy = policy
        self._lookup = PromptLookup(prompt) if policy else None

    @property
    def left(self) -> int:
        """Tokens of the present guess that may still come."""
        return len(self._guess) - self.right

    def draft(self, most: int) -> list[int]:
        """A new guess of at most `most` tokens, in place of the present one; often empty."""
        self.settle()
        if self._lookup and self._policy:
            self._guess = self._lookup.guess(self._policy.drafts(self._lookup.matched, most))
        return self._guess

    def ran(self, seconds: float) -> None:
        """Take note of how long the step with one known token and the guess took."""
        self._seconds = seconds

    def accept(self, token: int) -> bool:
        """Take note of a token of the reply; whether it is the one that was guessed."""
        if self._lookup and self._policy:
            if self._lookup.matched:
                self._policy.guessed(self._lookup.matched, self._lookup.guess(1) == [token])
            self._lookup.append(token)
        came = self.left > 0 and self._guess[self.right] == token
        self.right += came
        return came

    def settle(self) -> None:
        """Give up what is left of the present guess and tell the policy what came of it."""
        if self._policy and self._seconds is not None:
            self._policy.ran(len(self._guess), self.right, self._seconds)
        self.drafted += len(self._guess)
        self.accepted += self.right
        self._guess, self.right, self._seconds = [], 0, None

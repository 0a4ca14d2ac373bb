"""Drafts of a reply: whether a guess is worth its step, by what guesses were worth and what steps took, and which came.

Knows ids and numbers; has no clock: it is told what steps took. Must not know how a guess is verified.
"""

from collections.abc import Iterator, Sequence

from thinkport.runtime.engine.prompt_lookup import PromptLookup

_SIZES = (2, 4, 8, 16)  # tokens of a step with guesses, the known one included; MLAS works in pairs of rows
_COST = 1.3  # of a step of two tokens, in steps of one, until it is measured
_FORGET = 256  # plain steps until costs are measured again
_RATES = (0.0, 0.1, 0.4, 0.6, 0.75, 0.9, 0.97)  # of guesses that were right, by the bits of the match's length
_WORTH = 1.05  # least gain that is expected of a guess
_START, _INCOME, _MOST = 0.5, 0.015, 8.0  # of what may be lost, in steps of one token


class DraftPolicy:
    """Says how many tokens to guess. Counts in steps of one token, so that it does not matter how fast the machine is.

    Two rules. A guess has to be worth more than its step is expected to cost: rates of right guesses are learned for
    each length of match, from all tokens, also where nothing was drafted. And no more is risked than what earlier
    guesses won, half a step to begin with and 1.5 % of the plain steps, so that text that never repeats itself loses
    no more than that however wrong the expectations are.
    """

    def __init__(self) -> None:
        self._rates = list(_RATES)
        self._step: float | None = None  # seconds of a step of one token
        self._plain_steps = 0
        self._costs: dict[int, float] = {}  # of steps by their tokens, in steps of one token
        self._purse = _START

    def drafts(self, matched: int, most: int) -> int:
        """How many tokens to guess after a match of `matched` tokens, at most `most`; 0 is a plain step."""
        if not matched or self._step is None:
            return 0
        best, worth = 1, _WORTH
        for size, tokens in self._expected(matched, most):
            cost = self._cost(size)
            if tokens > worth * cost and cost - 1 <= self._purse:
                best, worth = size, tokens / cost
        return best - 1

    def guessed(self, matched: int, right: bool) -> None:
        """A token came after a match of `matched` tokens; was it the one that the match said?"""
        kind = _kind(matched)
        self._rates[kind] += (right - self._rates[kind]) / 32

    def ran(self, drafted: int, accepted: int, seconds: float) -> None:
        """A step of one known token and `drafted` guesses, of which `accepted` came, took so many seconds."""
        if not drafted:
            self._plain(seconds)
        elif self._step:
            size = drafted + 1
            usual = self._cost(size)
            cost = min(seconds / self._step, 2 * usual)  # another program's burst is not the step's cost
            self._costs[size] = usual + (cost - usual) / 4
            self._purse = min(_MOST, self._purse + 1 + accepted - cost)

    def _plain(self, seconds: float) -> None:
        step = self._step or seconds
        self._step = step + (min(seconds, 2 * step) - step) / 8
        self._purse = min(_MOST, self._purse + _INCOME)
        self._plain_steps += 1
        if self._plain_steps % _FORGET == 0:  # a burst of other work may have been measured; guesses would never return
            self._costs.clear()

    def _cost(self, size: int) -> float:
        """A step's cost as measured, or as the next smaller one's lets expect."""
        if size in self._costs:
            return self._costs[size]
        if size == _SIZES[0]:
            return _COST
        smaller = size // 2
        return 1 + (size - 1) * (self._cost(smaller) - 1) / (smaller - 1)

    def _expected(self, matched: int, most: int) -> Iterator[tuple[int, float]]:
        """Sizes of steps and how many tokens each is expected to give."""
        tokens, chance = 1.0, 1.0
        for size in range(2, min(most + 1, _SIZES[-1]) + 1):
            chance *= self._rates[_kind(matched + size - 2)]
            tokens += chance
            if size in _SIZES:
                yield size, tokens


def _kind(matched: int) -> int:
    return min(matched.bit_length(), len(_RATES) - 1)


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

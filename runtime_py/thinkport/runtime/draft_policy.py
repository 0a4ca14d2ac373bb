"""Whether a guess is worth its step: what guesses have been worth so far, against what steps have taken.

Knows numbers only; has no clock: it is told what steps took.
"""

_SIZES = (2, 4, 8, 16)  # tokens of a step with guesses, the known one included; MLAS works in pairs of rows
_COSTS = {2: 1.3, 4: 2.1, 8: 3.8, 16: 7.2}  # in steps of one token, until measured: int4 on AVX2, the worst that was seen
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
        self._costs = dict(_COSTS)
        self._purse = _START

    def drafts(self, matched: int, most: int) -> int:
        """How many tokens to guess after a match of `matched` tokens, at most `most`; 0 is a plain step."""
        if not matched or self._step is None:
            return 0
        best, worth = 1, _WORTH
        for size, tokens in self._expected(matched, most):
            if tokens > worth * self._costs[size] and self._costs[size] - 1 <= self._purse:
                best, worth = size, tokens / self._costs[size]
        return best - 1

    def guessed(self, matched: int, right: bool) -> None:
        """A token came after a match of `matched` tokens; was it the one that the match said?"""
        kind = _kind(matched)
        self._rates[kind] += (right - self._rates[kind]) / 32

    def ran(self, drafted: int, accepted: int, seconds: float) -> None:
        """A step of one known token and `drafted` guesses, of which `accepted` came, took so many seconds."""
        size = drafted + 1
        if size == 1:
            self._plain(seconds)
        elif self._step:
            cost = min(seconds / self._step, 2 * self._costs[size])  # another program's burst is not the step's cost
            self._costs[size] += (cost - self._costs[size]) / 4
            self._purse = min(_MOST, self._purse + 1 + accepted - cost)

    def _plain(self, seconds: float) -> None:
        step = self._step or seconds
        self._step = step + (min(seconds, 2 * step) - step) / 8
        self._purse = min(_MOST, self._purse + _INCOME)
        for size, usual in _COSTS.items():  # what was measured is forgotten slowly: the burst may be over
            self._costs[size] += (usual - self._costs[size]) / 256

    def _expected(self, matched: int, most: int):
        """Steps' sizes and how many tokens each is expected to give."""
        tokens, chance = 1.0, 1.0
        for size in range(2, min(most + 1, _SIZES[-1]) + 1):
            chance *= self._rates[_kind(matched + size - 2)]
            tokens += chance
            if size in self._costs:
                yield size, tokens


def _kind(matched: int) -> int:
    return min(matched.bit_length(), len(_RATES) - 1)

"""How fast steps are on this machine, and which of two ways to the same KV cache is therefore the shorter one.

For graphs that take several tokens over an empty cache only: what is missing is fed one by one, or all is run again.
For others: how wide a prompt's steps may be.
Knows seconds and counts; must not know tokens.
"""

from math import inf

_SOON = 0.4  # seconds after which a prompt can still be cancelled without being felt
_FEW = 16  # tokens worth feeding one by one as long as nothing is measured


class Pace:
    """The shortest times seen of a step and of a token of a prefill: a session's first steps also warm it up."""

    def __init__(self) -> None:
        self._step = self._prefilled = inf

    def add(self, tokens: int, seconds: float, *, over_past: bool) -> None:
        """Take a step that is done: of one token over a past, or of several over none; others say nothing."""
        if over_past and tokens == 1:
            self._step = min(seconds, self._step)
        elif not over_past and tokens > 1:
            self._prefilled = min(seconds / tokens, self._prefilled)

    def soon(self, tokens: int) -> bool:
        """Whether a step of so many tokens over an empty cache is known to be a short one."""
        return tokens * self._prefilled <= _SOON

    def one_by_one(self, missing: int, total: int) -> bool:
        """Whether feeding `missing` tokens one by one takes no longer than all `total` at once over an empty cache."""
        if inf in (self._step, self._prefilled):
            return missing <= _FEW
        return missing * self._step <= total * self._prefilled

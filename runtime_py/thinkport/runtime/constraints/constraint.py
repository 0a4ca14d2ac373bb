"""One text held to one grammar: which ids may come next, and where the text may end."""

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.sampling import Row
from thinkport.runtime.errors import InputError

if TYPE_CHECKING:
    from llguidance import LLMatcher

Ids = npt.NDArray[np.int64]


class Constraint:
    """A grammar's matcher. Ask for a mask, draw, accept what was drawn; `Grammars` makes one."""

    def __init__(self, matcher: "LLMatcher", what: str, *, end_ids: Collection[int], stop_ids: Collection[int]):
        """`end_ids` are the ids that the matcher has for the end, `stop_ids` those that end this text instead.

        `what` names the grammar in errors.
        """
        self._matcher, self._what = matcher, what
        self.stop_ids = frozenset(stop_ids)
        self._ends, self._stops = _array(end_ids), _array(stop_ids)

    @property
    def done(self) -> bool:
        """Whether the text is whole and nothing can be added: only a stop may come."""
        return self._matcher.is_stopped()

    def mask(self, logits: Row) -> Row:
        """A copy of logits (vocabulary,) with minus infinity for what may not come next.

        A stop id may come where the text is whole. No other added token ever may.

        Raises:
            InputError: the grammar turned out to be too complex.
        """
        words = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        # Adding 0 or minus infinity takes the same time whatever the mask; choosing takes up to 14 times as long.
        masked: Row = _biases().take(words, axis=0).reshape(-1)[: len(logits)]
        stop = masked[self._ends].max()
        masked[self._ends] = -np.inf
        masked[self._stops] = stop
        masked += logits
        return masked

    def accept(self, id: int) -> None:  # noqa: A002 - the domain's word
        """Take note of the id that came; a stop id changes nothing.

        Raises:
            InputError: the grammar does not have it here, or turned out to be too complex.
        """
        if id not in self.stop_ids:
            self._matcher.consume_token(id)
            self._check()

    def restart(self) -> None:
        """Begin a new text of the same grammar."""
        self._matcher.reset()

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = self._matcher.get_error().split("\n", 1)[0]
            raise InputError(f"{self._what} can't be enforced any further: {reason}. Simplify it")


def _array(ids: Collection[int]) -> Ids:
    return np.array(sorted(ids), np.int64)


@cache
def _biases() -> npt.NDArray[np.float32]:
    """What the eight bits of each byte add to eight logits (256, 8), the lowest bit first."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    return np.where(bits == 1, np.float32(0), np.float32(-np.inf))

"""Finding a thought that goes round in circles, while it is written.

Two signs: the last tokens are one cycle over and over, or a long line comes again and again. Knows ids and what text
they stand for; must not know what is done about it. The limits are wide on purpose: a list, a table or a
multiplication repeats itself a little, a lost model repeats itself without end.
"""

from collections import Counter, deque
from collections.abc import Callable

import numpy as np

PERIOD = 256  # longest cycle that is looked for, in tokens
TIMES = 4  # a cycle has to come this often in a row
SPAN = 64  # and to fill at least so many tokens
LINE = 24  # shortest line that counts, in characters
SAME_LINE = 6  # how often among the last lines
LINES = 24


class LoopDetector:
    """Takes a thought's ids one by one and says when it repeats itself. Constant time a token."""

    def __init__(self, text_of: Callable[[int], str]):
        """`text_of` gives the characters that are whole with an id, as a detokenizer's `feed` does."""
        self._text_of = text_of
        self._past = np.full(PERIOD, -1, np.int64)  # the latest id at index 0
        self._runs = np.zeros(PERIOD, np.int64)  # how many ids in a row equal the one p places before, at index p - 1
        periods = np.arange(1, PERIOD + 1)
        self._enough = np.maximum(periods * (TIMES - 1), SPAN - periods)
        self._line = ""
        self._lines: deque[str] = deque(maxlen=LINES)

    def feed(self, id: int) -> bool:  # noqa: A002 - the domain's word
        """Whether the thought repeats itself, now that this id has come."""
        return self._cycles(id) | self._says_a_line_again(self._text_of(id))

    def _cycles(self, new: int) -> bool:
        self._runs = np.where(self._past == new, self._runs + 1, 0)
        self._past[1:] = self._past[:-1]
        self._past[0] = new
        return bool((self._runs >= self._enough).any())

    def _says_a_line_again(self, text: str) -> bool:
        *ended, rest = (self._line + text).split("\n")
        self._line = rest
        self._lines.extend(line for line in map(str.strip, ended) if len(line) >= LINE)
        return bool(ended) and any(times >= SAME_LINE for times in Counter(self._lines).values())

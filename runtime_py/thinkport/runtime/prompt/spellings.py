"""How added tokens such as `<|im_end|>` are spelled, and where a text spells them.

Knows strings; must not know ids or messages.
"""

import re
from collections.abc import Iterable, Iterator


class Spellings:
    """The spellings of a tokenizer's added tokens."""

    def __init__(self, spellings: Iterable[str]):
        longest_first = sorted(filter(None, spellings), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self.openings = frozenset(spelling[0] for spelling in longest_first)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each spelling in `text`, found as a tokenizer does: leftmost, then longest."""
        return (match.span() for match in self._pattern.finditer(text))

    def begins(self, text: str, at: int) -> bool:
        """Whether a spelling stands in `text` at this place."""
        return self._pattern.match(text, at) is not None

"""A prompt's text before it becomes ids: which of it the template wrote, and which content spells an added token.

Knows texts and spans. Must not know messages or templates.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from thinkport.runtime.prompt.tokenizer import Tokenizer


@dataclass(frozen=True)
class Known:
    """A span of the text whose ids are known already."""

    start: int
    end: int
    ids: tuple[int, ...]


class Rendered:
    """Rendered text in `pieces`, each with whether it is an added token that content spells."""

    def __init__(self, pieces: Sequence[tuple[str, bool]]):
        self.pieces, self.text = pieces, "".join(piece for piece, _ in pieces)
        self._starts = list(accumulate((len(piece) for piece, _ in pieces), initial=0))[:-1]

    def is_templates(self, at: int) -> bool:
        """Whether the character at `at` belongs to no added token that content spells."""
        return not self.pieces[bisect_right(self._starts, at) - 1][1]

    def has_added_token(self, tokenizer: Tokenizer, at: int) -> bool:
        """Whether the template wrote an added token at `at`, or the text ends there."""
        return at == len(self.text) or (tokenizer.added_pattern.begins(self.text, at) and self.is_templates(at))

    def first(self, text: str, after: int = 0) -> int | None:
        """Where the template itself wrote `text` first, behind `after`; None where it did not."""
        at = self.text.find(text, after) if text else -1
        while at >= 0 and not self.is_templates(at):
            at = self.text.find(text, at + 1)
        return None if at < 0 else at

    def encode(
        self, tokenizer: Tokenizer, known: Sequence[Known] = (), *, start: int = 0, end: int | None = None
    ) -> list[int]:
        """The ids of the text from `start` to `end`; spans of `known` (in order, apart) have the ids that they say."""
        ids: list[int] = []
        at, end = start, len(self.text) if end is None else end
        for span in known:
            if start <= span.start and span.end <= end:
                ids += self._between(tokenizer, at, span.start)
                ids += span.ids
                at = span.end
        return ids + self._between(tokenizer, at, end)

    def _between(self, tokenizer: Tokenizer, start: int, end: int) -> list[int]:
        return [
            token
            for text, from_content in self._cut(start, end)
            for token in (tokenizer.encode_plain if from_content else tokenizer.encode)(text)
        ]

    def _cut(self, start: int, end: int) -> Iterator[tuple[str, bool]]:
        first = max(0, bisect_right(self._starts, start) - 1)
        for begin, (text, from_content) in zip(self._starts[first:], self.pieces[first:], strict=True):
            if begin >= end:
                return
            if piece := text[max(0, start - begin) : end - begin]:
                yield piece, from_content

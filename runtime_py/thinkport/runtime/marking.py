"""Telling a template's own `<|im_end|>` from one that somebody wrote into a message.

Before rendering, every added token spelled in a message has its characters swapped for private ones that nothing else
in the conversation uses. They pass through the template wherever it puts them, and say on the other side which
spellings are content. Templates look at content, too (`'</think>' in message.content`): a swapped string therefore
answers every question as the unswapped one would.

Knows strings; must not know templates' syntax or ids.
"""

# ruff: noqa: D102 - Marked's methods are those of str

import re
from collections.abc import Iterator
from typing import Any, SupportsIndex

_PRIVATE = range(0xF0000, 0xFFFFE)  # Unicode plane 15, for private use


class Marks:
    """The swap of one conversation: which private character stands for which character of an added token."""

    def __init__(self, pattern: re.Pattern[str], *sources: Any):
        """Find private characters that occur nowhere in `sources`, for the spellings that `pattern` matches in them."""
        self._pattern = pattern
        texts = list(_strings(sources))
        used = {letter for text in texts for letter in text}
        free = (chr(point) for point in _PRIVATE if chr(point) not in used)
        spelled = sorted({letter for text in texts for match in pattern.findall(text) for letter in match})
        self.swapped = dict(zip(spelled, free, strict=False))
        self._back = str.maketrans({private: letter for letter, private in self.swapped.items()})
        self._runs = re.compile(f"([{''.join(self.swapped.values())}]+)" if self.swapped else "((?!))")

    def __bool__(self) -> bool:
        """Whether any content spells an added token."""
        return bool(self.swapped)

    def mark(self, value: Any) -> Any:
        """A copy of JSON-like data whose strings have their spelled added tokens swapped."""
        if isinstance(value, str):
            table = str.maketrans(self.swapped)
            marked = self._pattern.sub(lambda match: match[0].translate(table), value)
            return Marked.of(marked, self) if marked != value else value
        if isinstance(value, dict):
            return {self.mark(key): self.mark(item) for key, item in value.items()}
        return [self.mark(item) for item in value] if isinstance(value, list) else value

    def unmark(self, text: str) -> str:
        """The text with its own characters again."""
        return str.translate(text, self._back)

    def split(self, text: str) -> list[tuple[str, bool]]:
        """Pieces of rendered text with their own characters, and whether a piece is a spelling from content."""
        pieces = self._runs.split(text)
        return [(self.unmark(piece), at % 2 == 1) for at, piece in enumerate(pieces) if piece]


class Marked(str):
    """A string with swapped characters that compares, searches and splits as its unmarked text; sums stay marked."""

    _marks: Marks

    @classmethod
    def of(cls, text: str, marks: Marks) -> "Marked":
        """`text`, already swapped by `marks`."""
        marked = cls(text)
        marked._marks = marks
        return marked

    def _plain(self) -> str:
        return self._marks.unmark(self)

    def _slice(self, start: int, end: int) -> "Marked":
        return Marked.of(str.__getitem__(self, slice(start, end)), self._marks)

    def __eq__(self, other: object) -> bool:
        return self._plain() == (other._plain() if isinstance(other, Marked) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._plain())

    def __contains__(self, part: object) -> bool:
        return isinstance(part, str) and _plain(part) in self._plain()

    def __add__(self, other: str) -> "Marked":
        return Marked.of(str.__add__(self, other), self._marks)

    def __radd__(self, other: str) -> "Marked":
        return Marked.of(str.__add__(other, self), self._marks)

    def __getitem__(self, key: SupportsIndex | slice) -> "Marked":
        return Marked.of(str.__getitem__(self, key), self._marks)

    def __str__(self) -> str:
        return str.__str__(self)

    def startswith(self, prefix: Any, *span: Any) -> bool:
        return self._plain().startswith(_plain(prefix), *span)

    def endswith(self, suffix: Any, *span: Any) -> bool:
        return self._plain().endswith(_plain(suffix), *span)

    def find(self, part: str, *span: Any) -> int:
        return self._plain().find(_plain(part), *span)

    def rfind(self, part: str, *span: Any) -> int:
        return self._plain().rfind(_plain(part), *span)

    def count(self, part: str, *span: Any) -> int:
        return self._plain().count(_plain(part), *span)

    def strip(self, letters: str | None = None) -> "Marked":
        return self.lstrip(letters).rstrip(letters)

    def lstrip(self, letters: str | None = None) -> "Marked":
        return self._slice(len(self) - len(self._plain().lstrip(letters)), len(self))

    def rstrip(self, letters: str | None = None) -> "Marked":
        return self._slice(0, len(self._plain().rstrip(letters)))

    def split(self, separator: str | None = None, maxsplit: SupportsIndex = -1) -> list[Any]:
        return self._at_lengths(self._plain().split(_plain(separator), maxsplit), separator)

    def partition(self, separator: str) -> tuple[Any, Any, Any]:
        before, found, after = self._plain().partition(_plain(separator))
        middle, end = len(before), len(self) - len(after)
        return self._slice(0, middle), self._slice(middle, middle + len(found)), self._slice(end, len(self))

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> "Marked":
        return Marked.of(new.join(self._at_lengths(self._plain().split(_plain(old), count), old)), self._marks)

    def _at_lengths(self, parts: list[str], separator: str | None) -> list["Marked"]:
        """The slices of this string that correspond to consecutive `parts` of its unmarked text."""
        plain, slices, at = self._plain(), [], 0
        for part in parts:
            at = plain.index(part, at)
            slices.append(self._slice(at, at + len(part)))
            at += len(part) + len(separator or "")
        return slices


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value._plain() if isinstance(value, Marked) else value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)

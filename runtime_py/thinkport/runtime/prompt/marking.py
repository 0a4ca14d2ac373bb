"""Telling a template's own `<|im_end|>` from one that somebody wrote into a message.

Who writes the first letter of an added token opens it. Before rendering, the letters with which added tokens begin are
therefore swapped, in every message, for private ones that nothing else in the conversation uses. They pass through the
template wherever it puts them, and say on the other side which spellings are content, also those that only came
together there. Templates look at content, too (`'</think>' in message.content`): a swapped string answers every
question as the unswapped one would.

Knows strings; must not know templates' syntax or ids.
"""

# ruff: noqa: D102 - Marked's methods are those of str

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, SupportsIndex

from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.tokenizer import Spellings

_PRIVATE = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))  # Unicode's planes 15 and 16, for private use


class Marks:
    """The swap of one conversation: which private letter stands for which first letter of an added token."""

    def __init__(self, spellings: Spellings, *sources: Any):
        """Choose private letters for the first letters of `spellings` that occur in the strings of `sources`.

        Raises:
            InputError: the sources hold so many private letters that none is left.
        """
        texts = list(_strings(sources))
        self._spellings = spellings
        openings = sorted(letter for letter in spellings.openings if any(letter in text for text in texts))
        self._swapped = dict(zip(openings, _unused_letters(texts, len(openings)), strict=True))

    def __bool__(self) -> bool:
        """Whether content could spell an added token, on its own or together with other content."""
        return bool(self._swapped)

    def mark(self, value: Any) -> Any:
        """A copy of JSON-like data whose strings have the first letters of added tokens swapped."""
        if isinstance(value, str):
            marked = value
            for letter, private in self._swapped.items():
                marked = marked.replace(letter, private)
            return value if marked == value else Marked.of(marked, self)
        if isinstance(value, dict):
            return {self.mark(key): self.mark(item) for key, item in value.items()}
        return [self.mark(item) for item in value] if isinstance(value, list | tuple) else value

    def unmark(self, text: str) -> str:
        """The text with its own letters again; as long as before."""
        for letter, private in self._swapped.items():
            text = str.replace(text, private, letter)
        return text

    def keep(self, value: Any) -> Any:
        """A text that a template made of marked ones, marked too where it holds their letters."""
        if type(value) is str and any(private in value for private in self._swapped.values()):
            return Marked.of(value, self)
        return value

    def split(self, text: str) -> list[tuple[str, bool]]:
        """Pieces of rendered text with their own letters, and whether a piece is a spelling from content."""
        plain, private, pieces, at = self.unmark(text), set(self._swapped.values()), [], 0
        for start, end in self._spellings.spans(plain):
            if text[start] in private:
                pieces += [(plain[at:start], False), (plain[start:end], True)]
                at = end
        return [(piece, spelled) for piece, spelled in [*pieces, (plain[at:], False)] if piece]


def _answered(method: str) -> Any:
    """A method of str that the unmarked text answers."""
    return lambda self, *asked: getattr(self._plain(), method)(*map(_plain, asked))


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

    def recased(self, change: Callable[[str], str]) -> "Marked":
        """What `change` makes of the unmarked text, marked where the same letters stand in the same places.

        It is for changes of case: `title` looks at letters that are swapped here, and the others don't.
        """
        swapped, text = change(self.raw), change(self._plain())
        if self._marks.unmark(swapped) != text and len(text) == len(self):
            plain = self._plain()
            pairs = zip(self.raw, plain, text, strict=True)
            swapped = "".join(own if letter == new else new for own, letter, new in pairs)
        return Marked.of(swapped, self._marks)

    @property
    def raw(self) -> str:
        """The letters as they are, swapped ones too, in a string without a memory of that."""
        return str.__getitem__(self, slice(0, len(self)))

    def __iter__(self) -> Iterator["Marked"]:
        return (Marked.of(letter, self._marks) for letter in str.__iter__(self))

    def _slice(self, start: int, end: int) -> "Marked":
        return Marked.of(str.__getitem__(self, slice(start, end)), self._marks)

    def __eq__(self, other: object) -> bool:
        return bool(self._plain() == _plain(other))

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
        return self  # `str()` is what Jinja's filters begin with

    startswith, endswith, count = _answered("startswith"), _answered("endswith"), _answered("count")
    find, rfind = _answered("find"), _answered("rfind")
    index, rindex = _answered("index"), _answered("rindex")

    def strip(self, letters: str | None = None) -> "Marked":
        return self.lstrip(letters).rstrip(letters)

    def lstrip(self, letters: str | None = None) -> "Marked":
        return self._slice(len(self) - len(self._plain().lstrip(letters)), len(self))

    def rstrip(self, letters: str | None = None) -> "Marked":
        return self._slice(0, len(self._plain().rstrip(letters)))

    def removeprefix(self, prefix: str) -> "Marked":
        return self._slice(len(self) - len(self._plain().removeprefix(_plain(prefix))), len(self))

    def removesuffix(self, suffix: str) -> "Marked":
        return self._slice(0, len(self._plain().removesuffix(_plain(suffix))))

    def split(self, separator: str | None = None, maxsplit: SupportsIndex = -1) -> list[Any]:
        return self._at_lengths(self._plain().split(_plain(separator), maxsplit), separator)

    def rsplit(self, separator: str | None = None, maxsplit: SupportsIndex = -1) -> list[Any]:
        return self._at_lengths(self._plain().rsplit(_plain(separator), maxsplit), separator)

    def splitlines(self, keepends: bool = False) -> list[Any]:
        return self._at_lengths(self._plain().splitlines(keepends), None)

    def partition(self, separator: str) -> tuple[Any, Any, Any]:
        return self._parted(self._plain().partition(_plain(separator)))

    def rpartition(self, separator: str) -> tuple[Any, Any, Any]:
        return self._parted(self._plain().rpartition(_plain(separator)))

    def _parted(self, parts: tuple[str, str, str]) -> tuple["Marked", "Marked", "Marked"]:
        middle, end = len(parts[0]), len(parts[0]) + len(parts[1])
        return self._slice(0, middle), self._slice(middle, end), self._slice(end, len(self))

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


def _unused_letters(texts: list[str], number: int) -> list[str]:
    used = set[str]().union(*texts) if number else set()
    unused = list(islice((letter for letter in map(chr, chain(*_PRIVATE)) if letter not in used), number))
    if len(unused) < number:
        raise InputError("the messages hold all of Unicode's private letters, expected text: take some out")
    return unused


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

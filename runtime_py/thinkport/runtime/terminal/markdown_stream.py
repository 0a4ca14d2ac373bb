"""Markdown that arrives piece by piece, cut into blocks of which all but the last can't change any more.

A block is a top-level one of CommonMark; of a list, each item is a block, so that a long list need not wait.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it.token import Token

from thinkport.runtime.terminal.markdown_view import parse

_LINES = re.compile(r"[^\n]*\n|[^\n]+\Z")
# The start of a line that may yet become a list, a heading, a rule, a table or the end of a fence.
_PERHAPS_A_MARKER = re.compile(r"^(?:[-=*_#`~+|:> \t]+|[> \t]*\d+[.)][ \t]*)\Z", re.MULTILINE)
_ITEM = "list_item_open"
_LISTS = ("bullet_list_open", "ordered_list_open")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A piece of source, its first line and its token. `apart`: a blank line is drawn before it."""

    source: str
    line: int
    token: Token
    apart: bool

    @property
    def kind(self) -> str:
        """Its token's type; `fence` is a fenced code block."""
        return self.token.type


class MarkdownStream:
    """The part of a source that was not taken yet."""

    def __init__(self) -> None:
        self._source = ""
        self._taken: Block | None = None  # the last one

    def feed(self, text: str) -> None:
        """Add a piece."""
        self._source += text

    def take(self) -> list[Block]:
        """The blocks that are finished, once."""
        blocks = self._blocks(self._settled())
        if len(blocks) < 2:
            return []
        *finished, last = blocks
        self._taken = finished[-1]
        self._source = "".join(_LINES.findall(self._source)[last.line :])
        return finished

    def tail(self) -> Block | None:
        """The unfinished block as far as it can be drawn: without a line that may become a marker."""
        blocks = self._blocks(self._settled())
        return blocks[-1] if blocks else None

    def rest(self) -> list[Block]:
        """All that is left, at the end of the text."""
        blocks = self._blocks(self._source)
        self._source = ""
        return blocks

    def _settled(self) -> str:
        """The source without a last line that may still become a marker."""
        return _PERHAPS_A_MARKER.sub("", self._source)

    def _blocks(self, source: str) -> list[Block]:
        blocks: list[Block] = []
        lines = _LINES.findall(source)
        starts = list(_starts(parse(source)))
        ends = [line for line, _ in [*starts, (len(lines), None)]][1:]
        for (line, token), end in zip(starts, ends, strict=True):
            apart = _apart(blocks[-1] if blocks else self._taken, token.type)
            blocks.append(Block(source="".join(lines[line:end]), line=line, token=token, apart=apart))
        return blocks


def _starts(tokens: list[Token]) -> Iterator[tuple[int, Token]]:
    """The first line of each block, and its token."""
    for token in tokens:
        is_item = token.type == _ITEM and token.level == 1
        if token.map and token.nesting >= 0 and (is_item or (token.level == 0 and token.type not in _LISTS)):
            yield token.map[0], token


def _apart(before: Block | None, kind: str) -> bool:
    """Blocks stand apart, but for the items of a list that has no blank lines."""
    if before is None:
        return False
    return not (before.kind == kind == _ITEM) or before.source.endswith("\n\n")

"""An answer's Markdown as rich draws it, with what a chat needs otherwise.

HTML is text and not dropped, a product keeps its asterisks, line ends stay line ends, headings stand left, links show
where they lead, and code has its fences, dim, instead of a background: it can be copied as it is and told apart without
colours.
"""

import re
from collections.abc import Iterable
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, ListElement, Markdown, MarkdownElement, TextElement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

CODE_THEME = "ansi_dark"  # the terminal's own colours, readable on dark and on light
THEME = Theme(
    {
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "bold dim",
        "markdown.code": "cyan",
        "markdown.block_quote": "dim",
        "markdown.item.bullet": "cyan",
        "markdown.item.number": "cyan",
        "markdown.table.border": "none",
        "markdown.table.header": "bold",
        "markdown.link": "default",
        "markdown.link_url": "dim underline",
    }
)
_OPERATOR = re.compile(r"(?<=[A-Za-z0-9)\]])\*+(?=[A-Za-z0-9(\[])")


def _operator(state: StateInline, silent: bool) -> bool:
    """Asterisks between operands multiply: emphasis within a Latin word is rare, and taken for it 2*3*4 is 234."""
    found = _OPERATOR.match(state.src, state.pos)
    if not found:
        return False
    if not silent:
        state.pending += found[0]
    state.pos = found.end()
    return True


_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
_PARSER.inline.ruler.before("emphasis", "operator", _operator)


def parse(source: str) -> list[Token]:
    """The tokens of a source (https://spec.commonmark.org, tables and strikethrough as on GitHub)."""
    return _PARSER.parse(source)


class AnswerMarkdown(Markdown):
    """A piece of an answer; it is drawn as wide as it is given room."""

    def __init__(self, source: str):
        """Parse the source."""
        super().__init__("", code_theme=CODE_THEME, hyperlinks=False)
        self.parsed = parse(source)
        _keep_line_ends(self.parsed)


class LeftHeading(Heading):
    """A heading at the left, whatever its level."""

    LEVEL_ALIGN: ClassVar = {}


class Code(TextElement):
    """A code block."""

    style_name = "markdown.code_block"

    def __init__(self, token: Token):
        """Of a `fence` or `code_block` token."""
        self.token = token

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> MarkdownElement:
        """The element of a token."""
        return cls(token)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Line by line."""
        yield from code_lines(self.token)


class NumberedList(ListElement):
    """An ordered list with its dots, and with room for two digits so that items drawn one by one line up."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Item by item."""
        style = console.get_style("markdown.item.number")
        for number, item in enumerate(self.items, 1 if self.list_start is None else self.list_start):
            numeral = f"{number:>2}. "
            lines = console.render_lines(item.elements, options.update(width=options.max_width - len(numeral)))
            for place, line in enumerate(lines):
                yield Segment(numeral if place == 0 else " " * len(numeral), style)
                yield from line
                yield Segment.line()


def code_lines(token: Token) -> list[Text]:
    """The lines of a code block, fences included; the closing one only where the model wrote it."""
    language = (token.info or "").strip()
    code = Syntax("", language.split(" ")[0] or "text", theme=CODE_THEME).highlight(token.content)
    lines = list(code.split("\n", allow_blank=True))[: _count_lines(token.content)]
    fenced = token.type == "fence"
    opening = [Text(token.markup + language, style="dim")] if fenced else []
    closing = [Text(token.markup, style="dim")] if fenced and _is_closed(token) else []
    return [*opening, *lines, *closing]


def _is_closed(token: Token) -> bool:
    """A fence that ends with the text has one line less than a closed one."""
    first, last = token.map or (0, 0)
    return last - first == _count_lines(token.content) + 2


def _count_lines(content: str) -> int:
    return content.count("\n") + bool(content and not content.endswith("\n"))


def _keep_line_ends(tokens: Iterable[Token]) -> None:
    """Models end lines where they mean it; Markdown would join them."""
    for token in tokens:
        if token.type == "softbreak":
            token.type = "hardbreak"
        _keep_line_ends(token.children or ())


AnswerMarkdown.elements = Markdown.elements | {
    "heading_open": LeftHeading,
    "ordered_list_open": NumberedList,
    "fence": Code,
    "code_block": Code,
}

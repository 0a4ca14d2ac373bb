"""A streamed answer as lines: those that are final, to be printed once, and those that may still change."""

from itertools import chain

from markdown_it.token import Token
from rich.console import Console, RenderableType

from thinkport.runtime.terminal.controls import HarmlessStream
from thinkport.runtime.terminal.markdown_stream import Block, MarkdownStream
from thinkport.runtime.terminal.markdown_view import AnswerMarkdown, code_lines
from thinkport.runtime.terminal.rendered_lines import Line, is_blank, lines_of


class AnswerView:
    """An answer's Markdown, drawn for a console as wide as it is at that moment."""

    def __init__(self, console: Console):
        """For the size, the colours and the styles of a console; nothing is written to it."""
        self._console = console
        self._harmless = HarmlessStream()
        self._stream = MarkdownStream()
        self._code_done = 0  # lines of the unfinished code block that are final already

    def feed(self, text: str) -> None:
        """Add a piece as the model wrote it."""
        self._stream.feed(self._harmless.feed(text))

    def final(self, room: int) -> list[Line]:
        """The lines that can't change any more, once; of a code block longer than `room` lines also its first ones."""
        return self._finished(self._stream.take()) + self._overflow(room)

    def rest(self) -> list[Line]:
        """All lines that are left, at the end of the answer."""
        self._stream.feed(self._harmless.flush())
        return self._finished(self._stream.rest())

    def tail(self, room: int) -> list[Line]:
        """The lines that may change, the last `room` of them."""
        block = self._stream.tail()
        lines = [] if block is None else self._draw(block)
        return lines[-room:] if room > 0 else []

    def _finished(self, blocks: list[Block]) -> list[Line]:
        lines: list[Line] = []
        for block in blocks:
            lines += self._draw(block)
            self._code_done = 0
        return lines

    def _draw(self, block: Block) -> list[Line]:
        """A block's lines but those that are final."""
        if block.kind == "fence":
            return self._gap(block) + list(chain(*self._code(block.token)))
        lines = self._render(AnswerMarkdown(block.source))
        seen = [at for at, line in enumerate(lines) if not is_blank(line)]
        return self._gap(block) + (lines[seen[0] : seen[-1] + 1] if seen else [])

    def _gap(self, block: Block) -> list[Line]:
        return [[]] if block.apart and not self._code_done else []

    def _code(self, fence: Token) -> list[list[Line]]:
        """The drawn lines of each line of code that is not final."""
        return [self._render(line) for line in code_lines(fence)[self._code_done :]]

    def _overflow(self, room: int) -> list[Line]:
        block = self._stream.tail()
        if block is None or block.kind != "fence":
            return []
        gap, code = self._gap(block), self._code(block.token)
        height, done = sum(map(len, code)), 0
        while height > room and done < len(code) - 1:  # the last line is not whole yet
            height -= len(code[done])
            done += 1
        self._code_done += done
        return gap + list(chain(*code[:done])) if done else []

    def _render(self, renderable: RenderableType) -> list[Line]:
        return lines_of(renderable, self._console)

"""A streamed answer as lines: those that are final, to be printed once, and those that may still change."""

from rich.console import Console

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
        lines = [line for block in self._stream.take() for line in self._finish(block)]
        return lines + self._overflow(room)

    def rest(self) -> list[Line]:
        """All lines that are left, at the end of the answer."""
        self._stream.feed(self._harmless.flush())
        return [line for block in self._stream.rest() for line in self._finish(block)]

    def tail(self, room: int) -> list[Line]:
        """The lines that may change, the last `room` of them."""
        block = self._stream.tail()
        lines = [] if block is None else self._draw(block)
        return lines[-room:] if room > 0 else []

    def _finish(self, block: Block) -> list[Line]:
        lines = self._draw(block)
        self._code_done = 0
        return lines

    def _draw(self, block: Block) -> list[Line]:
        """A block's lines but those that are final."""
        gap: list[Line] = [[]] if block.apart and not self._code_done else []
        if block.fence is None:
            return gap + self._without_blank_ends(self._render(AnswerMarkdown(block.source)))
        return gap + [line for code in self._code(block) for line in code]

    def _code(self, block: Block) -> list[list[Line]]:
        """The drawn lines of each line of code that is not final."""
        assert block.fence is not None
        return [self._render(line) for line in code_lines(block.fence)[self._code_done :]]

    def _overflow(self, room: int) -> list[Line]:
        block = self._stream.tail()
        if block is None or block.fence is None:
            return []
        gap: list[Line] = [[]] if block.apart and not self._code_done else []
        code = self._code(block)
        height = sum(map(len, code))
        out: list[Line] = []
        while height > room and len(code) > 1:  # the last line is not whole yet
            first = code.pop(0)
            out += first
            height -= len(first)
            self._code_done += 1
        return gap + out if out else []

    def _render(self, renderable: object) -> list[Line]:
        return lines_of(renderable, self._console, self._console.width)  # type: ignore[arg-type]

    @staticmethod
    def _without_blank_ends(lines: list[Line]) -> list[Line]:
        while lines and is_blank(lines[-1]):
            lines = lines[:-1]
        while lines and is_blank(lines[0]):
            lines = lines[1:]
        return lines

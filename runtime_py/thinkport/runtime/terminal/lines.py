"""Where a chat's lines come from, and what stands below the prompt: a pipe, a plain or an able terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from thinkport.runtime.terminal.conversation import Conversation
from thinkport.runtime.terminal.parted_lines import fitting

HISTORY = "chat-history"


class Lines(Protocol):
    """A source of lines."""

    def read(self, edit: str = "") -> str | None:
        """The next line, None at the end; `edit` is a text to begin with, where lines can be edited."""


class StdinLines:
    """The lines of stdin, of a pipe or of a terminal whose cursor can't be moved."""

    def __init__(self, prompt: str = "") -> None:
        """`prompt` is shown before each line, on stderr: stdout may be a file. Ctrl-C then begins the line anew."""
        self._prompt = prompt

    def read(self, edit: str = "") -> str | None:
        """The next line without its end."""
        while True:
            sys.stderr.write(self._prompt)
            sys.stderr.flush()
            try:
                line = sys.stdin.readline()
                break
            except KeyboardInterrupt:
                if not self._prompt:
                    raise
                sys.stderr.write("\n")
        if not line and self._prompt:
            sys.stderr.write("\n")
        return line.rstrip("\r\n") if line else None


def lines_for(conversation: Conversation, *, history: bool) -> Lines:
    """The best source of lines that stdin and stdout allow."""
    if not sys.stdin.isatty():
        return StdinLines()
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return StdinLines("> ")
    from platformdirs import user_state_path

    from thinkport.runtime.terminal.prompt_line import PromptLine

    path = user_state_path("thinkport", appauthor=False) / HISTORY
    return PromptLine(history=path if history else None, toolbar=lambda width: toolbar(conversation, width))


def toolbar(conversation: Conversation, width: int) -> str:
    """The line below the prompt: thinking, budget, provider and context, as much of it as fits in a line."""
    thinking = conversation.chat.thinking
    parts = [f"thinking {thinking.enabled or 'as the model has it'}"]
    if thinking.budget is not None:
        parts.append(f"budget {thinking.budget}")
    return fitting([*parts, conversation.provider, conversation.context], width)


@contextmanager
def without_echo() -> Iterator[None]:
    """What is typed within, at a terminal, waits for the next prompt and is not echoed; Ctrl-C still works."""
    if sys.platform == "win32" or not sys.stdin.isatty():  # a Windows console echoes only while it is read
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)

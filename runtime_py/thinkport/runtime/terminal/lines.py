"""Where a chat's lines come from: a pipe, or a terminal that can do no more than show a prompt."""

import sys
from typing import Protocol


class Lines(Protocol):
    """A source of lines."""

    def read(self, edit: str = "") -> str | None:
        """The next line, None at the end; `edit` is a text to begin with, where lines can be edited."""


class PipedLines:
    """The lines of stdin."""

    def read(self, edit: str = "") -> str | None:
        """The next line without its end."""
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None


class PlainLines:
    """The lines of a terminal whose cursor can't be moved. The prompt goes to stderr: stdout may be a file."""

    def read(self, edit: str = "") -> str | None:
        """The next line; Ctrl-C begins it anew."""
        while True:
            try:
                sys.stderr.write("> ")
                sys.stderr.flush()
                line = sys.stdin.readline()
            except KeyboardInterrupt:
                sys.stderr.write("\n")
                continue
            if not line:
                sys.stderr.write("\n")
            return line.rstrip("\r\n") if line else None

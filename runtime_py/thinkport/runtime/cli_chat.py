"""What `thinkport chat` does: a turn a line, from a terminal or a pipe."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from thinkport.runtime.errors import InputError
from thinkport.runtime.interrupt import interrupting
from thinkport.runtime.model import Model
from thinkport.runtime.reply_view import figures, show_reply

EXIT = "/exit"


def run_chat(artifact: Path, *, system: str | None, threads: int | None, provider: str, **options: Any) -> None:
    """Load and answer line after line until `/exit` or the end of the input."""
    out = Console(highlight=False, markup=False, emoji=False)
    notes = Console(stderr=True, highlight=False, markup=False)
    with Model.load(artifact, provider=provider, threads=threads) as model:
        chat = model.chat(system=system)
        failed = False
        for line in _lines():
            try:
                events = chat.stream(line, **options)
            except InputError as error:  # the next line may well be answered
                failed = True
                notes.print(str(error), style="red", soft_wrap=True)
                continue
            with interrupting(chat.cancel):
                end = show_reply(events, out)
            notes.print(figures(end), style="dim", soft_wrap=True)
    if failed and not sys.stdin.isatty():
        raise InputError("not every line was answered; the reasons stand above")


def _lines() -> Iterator[str]:
    """What the user says, until `/exit`; blank lines are passed over."""
    while (line := _typed() if sys.stdin.isatty() else sys.stdin.readline()) and line.strip() != EXIT:
        if line.strip():
            yield line.rstrip("\r\n")


def _typed() -> str:
    """A line from a terminal, with editing and history where the system has them; empty at the end of the input."""
    with suppress(ImportError):
        import readline  # noqa: F401  # input() finds it; without it a terminal cuts lines at 4,095 characters
    try:
        return input("> ") + "\n"
    except EOFError:
        sys.stdout.write("\n")
        return ""

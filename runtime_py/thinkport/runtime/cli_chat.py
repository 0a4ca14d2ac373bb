"""What `thinkport chat` does: a turn a line, from a terminal or a pipe."""

import sys
from collections.abc import Iterator
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
        for line in _lines(notes):
            try:
                events = chat.stream(line, **options)
            except InputError as error:
                if not sys.stdin.isatty():
                    raise
                notes.print(str(error), style="red", soft_wrap=True)
                continue
            with interrupting(chat.cancel):
                end = show_reply(events, out)
            notes.print(figures(end), style="dim", soft_wrap=True)


def _lines(notes: Console) -> Iterator[str]:
    """What the user says, until `/exit`; the prompt is shown on a terminal only."""
    while True:
        if sys.stdin.isatty():
            notes.print("> ", end="", style="bold")
        line = sys.stdin.readline()
        if not line or line.strip() == EXIT:
            return
        if line.strip():
            yield line.rstrip("\r\n")

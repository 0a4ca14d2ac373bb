"""What `thinkport generate` does, once its options are read."""

import json
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from thinkport.runtime.engine import Finish
from thinkport.runtime.interrupt import INTERRUPTED, interrupting
from thinkport.runtime.model import Model
from thinkport.runtime.reply_view import figures, show_reply, to_json


def run_generate(
    artifact: Path,
    prompt: str,
    *,
    system: str | None,
    threads: int | None,
    provider: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Load, answer, and write the reply to stdout; Ctrl-C ends the reply and keeps what came."""
    with Model.load(artifact, provider=provider, threads=threads) as model:
        chat = model.chat(system=system)
        events = chat.stream(prompt, **options)
        with interrupting(chat.cancel):
            if as_json:
                end = events.end()
                sys.stdout.write(json.dumps(to_json(end), ensure_ascii=False, indent=2) + "\n")
            else:
                end = show_reply(events, Console(highlight=False, markup=False, emoji=False))
                Console(stderr=True, highlight=False, markup=False).print(figures(end), style="dim", soft_wrap=True)
    if end.answer_end is Finish.CANCELLED:
        raise typer.Exit(INTERRUPTED)

"""What `thinkport generate` does: one reply on stdout, its figures on stderr."""

import json
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.figures import figures
from thinkport.runtime.terminal.interrupts import INTERRUPTED, interrupting
from thinkport.runtime.terminal.lookalikes import use_lookalikes
from thinkport.runtime.terminal.plain_reply import show_plain
from thinkport.runtime.terminal.reply_json import to_json
from thinkport.runtime.terminal.warning_lines import tidy_warnings
from thinkport.runtime.thinking.thinking import Thinking


def run_generate(
    artifact: Path,
    prompt: str,
    *,
    running: dict[str, Any],
    system: str | None,
    thinking: Thinking,
    tools: list[dict[str, Any]] | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Load, answer, and write the reply; Ctrl-C ends it and keeps what came. `running` goes to `Model.load`,
    `options` to the reply.
    """
    use_lookalikes()
    with tidy_warnings(), Model.load(artifact, **running) as model:
        chat = model.chat(system=system, thinking=thinking, tools=tools, settle=False)
        events = chat.stream(prompt, **options)
        with interrupting(chat.cancel):
            if as_json:
                end = events.end()
                sys.stdout.write(json.dumps(to_json(end), ensure_ascii=False, indent=2) + "\n")
            else:
                end = show_plain(events, Console(highlight=False, markup=False, emoji=False))
                Console(stderr=True, highlight=False, markup=False).print(figures(end), style="dim", soft_wrap=True)
    if end.answer_end is Finish.CANCELLED:
        raise typer.Exit(INTERRUPTED)

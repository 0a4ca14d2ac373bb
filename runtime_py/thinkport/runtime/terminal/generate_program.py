"""What `thinkport generate` does: one reply on stdout, its figures on stderr."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import End
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.figures import figures
from thinkport.runtime.terminal.interrupts import INTERRUPTED, interrupting
from thinkport.runtime.terminal.plain_reply import show_plain
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


def to_json(end: End) -> dict[str, Any]:
    """All of an end as JSON data; a speed is None where nothing was counted."""
    counts = ("prompt", "cached", "thought", "answer", "forced", "drafted", "accepted")
    speeds = {"prefill": end.prefill, "thought": end.thinking, "answer": end.answering}
    return {
        "thought": end.thought,
        "answer": end.answer,
        "tool_calls": [asdict(call) for call in end.tool_calls],
        **{f"{name}_tokens": getattr(end, f"{name}_tokens") for name in counts},
        **{name: getattr(end, name).value for name in ("enabled", "decided_by", "thinking_end", "answer_end")},
        "timings": {
            name: {"seconds": speed.seconds, "tokens_per_second": speed.tokens_per_second}
            for name, speed in speeds.items()
        },
    }

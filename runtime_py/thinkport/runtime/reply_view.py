"""A reply in a terminal or a pipe: text on one console as it comes, figures on another.

A pipe gets the model's characters as they are. A terminal would obey some of them, so it is shown their pictures.
"""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from thinkport.runtime.events import End, Event, Speed, ThoughtPiece

_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_DIM, _PLAIN = Style(dim=True), Style()


def show_reply(events: Iterator[Event], out: Console) -> End:
    """Write the pieces as they come, the thought dim and a blank line after it; return the end."""
    thinking = False
    for event in events:
        if isinstance(event, End):
            _write("\n", out, _PLAIN)
            return event
        is_thought = isinstance(event, ThoughtPiece)
        if thinking and not is_thought:
            _write("\n\n", out, _PLAIN)
        thinking = is_thought
        _write(event.text, out, _DIM if is_thought else _PLAIN)
    raise AssertionError("a reply without an end")


def _write(text: str, out: Console, style: Style) -> None:
    """Write past rich's own text, which expands tabs and drops some control characters but not escapes."""
    if out.is_terminal:
        shown = text.replace("\r\n", "\n").translate(_PICTURES)
        out.print(Segments([Segment(shown, style)]), end="", soft_wrap=True)
    else:
        out.file.write(text)
        out.file.flush()


def figures(end: End) -> str:
    """One line: tokens, seconds and speeds of the parts, and why they ended."""
    parts = [f"prompt {end.prompt_tokens} tokens ({end.cached_tokens} cached) in {end.prefill.seconds:.2f} s"]
    if end.thought_tokens:
        parts.append(f"thought {_speed(end.thinking)}, {end.thinking_end}")
    parts.append(f"answer {_speed(end.answering)}, {end.answer_end}")
    return " · ".join(parts)


def to_json(end: End) -> dict[str, Any]:
    """The end as JSON data; a speed is None where nothing was counted."""
    speeds = {"prefill": end.prefill, "thought": end.thinking, "answer": end.answering}
    return {
        "thought": end.thought,
        "answer": end.answer,
        "prompt_tokens": end.prompt_tokens,
        "cached_tokens": end.cached_tokens,
        "thought_tokens": end.thought_tokens,
        "answer_tokens": end.answer_tokens,
        "thinking_end": end.thinking_end.value,
        "answer_end": end.answer_end.value,
        "timings": {
            name: {"seconds": speed.seconds, "tokens_per_second": speed.tokens_per_second}
            for name, speed in speeds.items()
        },
    }


def _speed(speed: Speed) -> str:
    rate = speed.tokens_per_second
    return f"{speed.tokens} tokens" + (f" at {rate:.1f}/s" if rate else "")

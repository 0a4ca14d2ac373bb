"""The figures of a turn as one line: tokens, seconds and speeds of its parts, and why they ended."""

from thinkport.runtime.events import End, Speed


def figures(end: End) -> str:
    """What `generate` says of a reply."""
    parts = [f"prompt {end.prompt_tokens} tokens ({end.cached_tokens} cached) in {end.prefill.seconds:.2f} s"]
    if end.thought_tokens:
        parts.append(f"thought {speed(end.thinking)}, {end.thinking_end}")
    parts.append(f"answer {speed(end.answering)}, {end.answer_end}")
    return " · ".join(parts)


def turn_line(end: End, context: str) -> str:
    """What `chat` says of a turn: the figures, and the fill of the context."""
    return f"{figures(end)} · {context}"


def context_fill(used: int, length: int) -> str:
    """The share of the context that the history takes."""
    return f"context {used}/{length} ({used / length:.0%})"


def speed(speed: Speed) -> str:
    """Tokens, and their rate where one was measured."""
    rate = speed.tokens_per_second
    return f"{speed.tokens} tokens" + (f" at {rate:.1f}/s" if rate else "")

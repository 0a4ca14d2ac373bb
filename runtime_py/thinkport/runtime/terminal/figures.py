"""The figures of a turn: tokens, seconds and speeds of its parts, and why they ended."""

from thinkport.runtime.events import End, Speed


def figures(end: End) -> str:
    """What `generate` says of a reply, in a line."""
    parts = [f"prompt {end.prompt_tokens} tokens ({end.cached_tokens} cached) in {end.prefill.seconds:.2f} s"]
    if end.thought_tokens:
        parts.append(f"thought {speed(end.thinking)}, {end.thinking_end}")
    parts.append(f"answer {speed(end.answering)}, {end.answer_end}")
    return " · ".join(parts)


def turn_parts(end: End) -> list[str]:
    """What `chat` says of a turn, shorter."""
    parts = [f"prompt {end.prompt_tokens} ({end.cached_tokens} cached)"]
    if end.thought_tokens:
        parts.append(f"thought {_short(end.thinking)}, {end.thinking_end}")
    return [*parts, f"answer {_short(end.answering)}, {end.answer_end}"]


def context_fill(used: int, length: int) -> str:
    """The share of the context that the history takes."""
    return f"context {used}/{length} ({used / length:.0%})"


def speed(speed: Speed) -> str:
    """Tokens, and their rate where one was measured."""
    rate = speed.tokens_per_second
    return f"{speed.tokens} tokens" + (f" at {rate:.1f}/s" if rate else "")


def _short(part: Speed) -> str:
    return speed(part).replace(" tokens", "")

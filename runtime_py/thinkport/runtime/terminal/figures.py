"""The figures of a turn, and of all turns: tokens, seconds and speeds of the parts, and why they ended."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from thinkport.runtime.events import End, Speed
from thinkport.runtime.terminal.parted_lines import DOT


def totals(ends: Sequence[End]) -> list[str]:
    """What `/stats` says of the turns of a chat: the sums of each part, in a line."""
    prefill, thinking = _sum(end.prefill for end in ends), _sum(end.thinking for end in ends)
    answering = _sum(end.answering for end in ends)
    prompt, cached = sum(end.prompt_tokens for end in ends), sum(end.cached_tokens for end in ends)
    others = sum(end.parallel.tokens for end in ends if end.parallel)
    return [
        f"turns    {len(ends)} in {prefill.seconds + thinking.seconds + answering.seconds:.1f} s",
        f"prompts  {prompt} tokens, {cached} of them cached; the others {_named(prefill)}",
        f"thoughts {_named(thinking)}; ended: {_counted(end.thinking_end for end in ends)}",
        f"answers  {_named(answering)}; ended: {_counted(end.answer_end for end in ends)}",
        f"forced   {sum(end.forced_tokens for end in ends)} tokens that the runtime wrote",
        *([f"others   {others} tokens for thoughts that were not chosen"] if others else []),
    ]


def figures(end: End) -> str:
    """What `generate` says of a reply, in a line."""
    prompt = f"prompt {end.prompt_tokens} tokens ({end.cached_tokens} cached) in {end.prefill.seconds:.2f} s"
    return DOT.join([prompt, *_parts(end, speed)])


def turn_parts(end: End) -> list[str]:
    """What `chat` says of a turn, shorter."""
    return [f"prompt {end.prompt_tokens} ({end.cached_tokens} cached)", *_parts(end, _short)]


def _parts(end: End, told: Callable[[Speed], str]) -> list[str]:
    thought = [f"thought {told(end.thinking)}, {end.thinking_end}"] if end.thought_tokens else []
    if end.parallel is not None:
        others = f", the others {end.parallel.tokens} tokens" if end.parallel.others else ""
        thought.append(f"{end.parallel.reason}{others}")
    return [*thought, f"answer {told(end.answering)}, {end.answer_end}"]


def context_fill(used: int, length: int) -> str:
    """The share of the context that the history takes."""
    return f"context {used}/{length} ({used / length:.0%})"


def speed(speed: Speed) -> str:
    """Tokens, and their rate where one was measured."""
    rate = speed.tokens_per_second
    return f"{speed.tokens} tokens" + (f" at {rate:.1f}/s" if rate else "")


def _short(part: Speed) -> str:
    return speed(part).replace(" tokens", "")


def _sum(parts: Iterable[Speed]) -> Speed:
    parts = list(parts)
    return Speed(tokens=sum(part.tokens for part in parts), seconds=sum(part.seconds for part in parts))


def _named(part: Speed) -> str:
    return f"{speed(part)} in {part.seconds:.1f} s"


def _counted(ends: Iterable[str]) -> str:
    return ", ".join(f"{end} {count}" for end, count in Counter(ends).most_common()) or "none"

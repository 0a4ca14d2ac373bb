"""The figures of a chat's turns, summed for `/stats`."""

from collections import Counter

from thinkport.runtime.events import End, Speed
from thinkport.runtime.terminal.figures import speed


class Totals:
    """Sums over the turns of a chat."""

    def __init__(self) -> None:
        self.turns = 0
        self._prompt = self._cached = self._forced = 0
        self._prefill = self._thinking = self._answering = Speed(tokens=0, seconds=0.0)
        self._thinking_ends: Counter[str] = Counter()
        self._answer_ends: Counter[str] = Counter()

    def add(self, end: End) -> None:
        """Count a turn."""
        self.turns += 1
        self._prompt += end.prompt_tokens
        self._cached += end.cached_tokens
        self._forced += end.forced_tokens
        self._prefill = _sum(self._prefill, end.prefill)
        self._thinking = _sum(self._thinking, end.thinking)
        self._answering = _sum(self._answering, end.answering)
        self._thinking_ends[end.thinking_end.value] += 1
        self._answer_ends[end.answer_end.value] += 1

    def lines(self) -> list[str]:
        """A line a part."""
        seconds = sum(part.seconds for part in (self._prefill, self._thinking, self._answering))
        return [
            f"turns    {self.turns} in {seconds:.1f} s",
            f"prompts  {self._prompt} tokens, {self._cached} of them cached; the others {_named(self._prefill)}",
            f"thoughts {_named(self._thinking)}; ended: {_counted(self._thinking_ends)}",
            f"answers  {_named(self._answering)}; ended: {_counted(self._answer_ends)}",
            f"forced   {self._forced} tokens that the runtime wrote",
        ]


def _sum(a: Speed, b: Speed) -> Speed:
    return Speed(tokens=a.tokens + b.tokens, seconds=a.seconds + b.seconds)


def _named(part: Speed) -> str:
    return f"{speed(part)} in {part.seconds:.1f} s"


def _counted(ends: Counter[str]) -> str:
    return ", ".join(f"{end} {count}" for end, count in ends.most_common()) or "none"

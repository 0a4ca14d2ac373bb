"""Figures of replies: OpenAI's `usage`, llama-server's `timings`, and why thought and answer ended.

Knows ends of replies; must not know how they are sent.
"""

from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import AnswerPiece, End, Event, Speed, ThoughtPiece

_FINISH = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.CONTEXT: "length", Finish.CANCELLED: "length"}


def finish_reason(end: End) -> str:
    """OpenAI's word for why a reply ended; what it has no word for counts as `length`."""
    return "tool_calls" if end.tool_calls and end.answer_end is Finish.STOP else _FINISH[end.answer_end]


def thinking(end: End) -> dict[str, Any]:
    """Whether the reply thought, who decided that, why thinking ended, and how the thought was chosen of several."""
    return {
        "enabled": end.enabled.value,
        "decided_by": end.decided_by.value,
        "end": end.thinking_end.value,
        "tokens": end.thought_tokens,
        "answer_end": end.answer_end.value,
        **({} if end.parallel is None else {"parallel": asdict(end.parallel)}),
    }


def usage(ends: Sequence[End]) -> dict[str, Any]:
    """Tokens of all replies to one prompt, which counts once.

    Reasoning is what isn't the answer's: the thought and what was written to close it, and all that was written for
    thoughts that were not chosen.
    """
    prompt = ends[0].prompt_tokens
    thought = sum(end.thought_tokens + end.forced_tokens for end in ends)
    thought += sum(end.parallel.tokens for end in ends if end.parallel is not None)
    written = thought + sum(end.answer_tokens for end in ends)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": ends[0].cached_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": thought,
            "accepted_prediction_tokens": sum(end.accepted_tokens for end in ends),
            "rejected_prediction_tokens": sum(end.drafted_tokens - end.accepted_tokens for end in ends),
        },
    }


def timings(end: End) -> dict[str, Any]:
    """Tokens, milliseconds and tokens per second of prompt, thought and answer."""
    return {
        "cache_n": end.cached_tokens,
        **_part("prompt", end.prefill),
        **_part("thinking", end.thinking),
        **_part("predicted", end.answering),
        "draft_n": end.drafted_tokens,
        "draft_n_accepted": end.accepted_tokens,
    }


class LiveTimings:
    """Timings of a reply in progress: of the part that is being written, since its first piece."""

    def __init__(self) -> None:
        self._part, self._since, self._before = "", 0.0, 0

    def of(self, event: Event) -> dict[str, Any] | None:
        """Figures of the part of a piece; None for events that are no piece."""
        if not isinstance(event, ThoughtPiece | AnswerPiece):
            return None
        part = "thinking" if isinstance(event, ThoughtPiece) else "predicted"
        if part != self._part:
            self._part, self._since, self._before = part, perf_counter(), event.tokens
        speed = Speed(tokens=event.tokens - self._before, seconds=perf_counter() - self._since)
        return _part(part, speed) | {f"{part}_n": event.tokens}


def _part(name: str, speed: Speed) -> dict[str, Any]:
    return {
        f"{name}_n": speed.tokens,
        f"{name}_ms": round(speed.seconds * 1e3, 3),
        f"{name}_per_second": speed.tokens_per_second,
    }

"""The end of a reply as JSON data, for `thinkport generate --json`."""

from dataclasses import asdict
from typing import Any

from thinkport.runtime.events import End


def to_json(end: End) -> dict[str, Any]:
    """All of an end; a speed is None where nothing was counted."""
    speeds = {"prefill": end.prefill, "thought": end.thinking, "answer": end.answering}
    return {
        "thought": end.thought,
        "answer": end.answer,
        "tool_calls": [asdict(call) for call in end.tool_calls],
        "prompt_tokens": end.prompt_tokens,
        "cached_tokens": end.cached_tokens,
        "thought_tokens": end.thought_tokens,
        "answer_tokens": end.answer_tokens,
        "forced_tokens": end.forced_tokens,
        "drafted_tokens": end.drafted_tokens,
        "accepted_tokens": end.accepted_tokens,
        "enabled": end.enabled.value,
        "decided_by": end.decided_by.value,
        "thinking_end": end.thinking_end.value,
        "answer_end": end.answer_end.value,
        "timings": {
            name: {"seconds": speed.seconds, "tokens_per_second": speed.tokens_per_second}
            for name, speed in speeds.items()
        },
    }

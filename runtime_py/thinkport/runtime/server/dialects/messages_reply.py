"""A message as JSON, whole or event by event (https://platform.claude.com/docs/en/build-with-claude/streaming).

Knows events of replies and that interface's blocks: a thought is `thinking`, an answer `text`, a call `tool_use`. Must
not know HTTP.
"""

from collections.abc import Iterator
from typing import Any

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import AnswerPiece, End, Event, ThoughtEnd, ThoughtPiece, ThoughtsProgress, ToolCall
from thinkport.runtime.server.chat_route import call_text
from thinkport.runtime.server.figures import thinking, timings, usage
from thinkport.runtime.server.service import Answer

_THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
_ANSWER: dict[str, Any] = {"type": "text", "text": ""}


class MessagesReply(Answer):
    """One message, as it comes."""

    def __init__(self, name: str, model: str, *, prompt_tokens: int):
        head = {"id": name, "type": "message", "role": "assistant", "model": model}
        self._message: dict[str, Any] = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
        self._message["usage"] = {"input_tokens": prompt_tokens, "output_tokens": 0}
        self._begun = self._open = False

    def events(self, index: int, event: Event) -> Iterator[dict[str, Any]]:
        """The interface's events of an event of its one reply."""
        if not self._begun:
            self._begun = True
            yield {"type": "message_start", "message": {**self._message, "content": []}}
        if isinstance(event, ThoughtPiece | AnswerPiece):
            if event.text:
                yield from self._piece(_THOUGHT if isinstance(event, ThoughtPiece) else _ANSWER, event.text)
        elif isinstance(event, ToolCall):
            yield from self._call(event)
        elif not isinstance(event, ThoughtsProgress):
            yield from self._close()
            if not isinstance(event, ThoughtEnd):
                yield from self._ended(event)

    def whole(self) -> dict[str, Any]:
        """The message, once it has ended."""
        return self._message

    def _piece(self, empty: dict[str, Any], text: str) -> Iterator[dict[str, Any]]:
        kind = empty["type"]
        if not self._open or self._message["content"][-1]["type"] != kind:
            yield from self._begin(dict(empty))
        self._message["content"][-1][kind] += text
        yield self._delta({"type": f"{kind}_delta", kind: text})

    def _call(self, call: ToolCall) -> Iterator[dict[str, Any]]:
        block: dict[str, Any] = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield from self._begin(block)
        yield self._delta({"type": "input_json_delta", "partial_json": call_text(call)})
        block["input"] = call.arguments if isinstance(call.arguments, dict) else {}
        if call.problem is not None:
            block["problem"] = call.problem
        yield from self._close()

    def _begin(self, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from self._close()
        self._message["content"].append(block)
        self._open = True
        yield {"type": "content_block_start", "index": self._at, "content_block": dict(block)}

    def _close(self) -> Iterator[dict[str, Any]]:
        if not self._open:
            return
        if self._message["content"][-1]["type"] == "thinking":  # clients keep it beside the thought, and send it back
            yield self._delta({"type": "signature_delta", "signature": ""})
        self._open = False
        yield {"type": "content_block_stop", "index": self._at}

    def _ended(self, end: End) -> Iterator[dict[str, Any]]:
        counted = usage([end])
        figures = {
            "input_tokens": end.prompt_tokens - end.cached_tokens,
            "cache_read_input_tokens": end.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": counted["completion_tokens"],
        }
        why = {"stop_reason": _reason(end), "stop_sequence": end.stop_text}
        more = {"usage": figures, "thinking": thinking(end), "timings": timings(end)}
        self._message |= {**why, **more}
        yield {"type": "message_delta", "delta": why, **more}
        yield {"type": "message_stop"}

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._at, "delta": delta}

    @property
    def _at(self) -> int:
        return len(self._message["content"]) - 1


def _reason(end: End) -> str:
    """Anthropic's word for why a reply ended."""
    if end.stop_text is not None:
        return "stop_sequence"
    if end.answer_end is Finish.STOP:
        return "tool_use" if end.tool_calls else "end_turn"
    return "max_tokens"

"""A chat completion's reply as JSON: whole, or chunk by chunk.

Knows events and OpenAI's shapes; must not know HTTP. Thoughts have two names, as clients read one or the other.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from time import time
from typing import Any

from thinkport.runtime.engine.logprobs import TokenLogprob
from thinkport.runtime.events import AnswerPiece, End, Event, ThoughtPiece, ToolCall
from thinkport.runtime.prompt.detokenize import token_bytes
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.server.figures import LiveTimings, finish_reason, thinking, timings, usage


class ChatReply:
    """One request's replies, as they come."""

    def __init__(self, name: str, model: str, tokenizer: Tokenizer, *, live: bool = False):
        """`live`: every chunk of a piece says how fast its part goes."""
        self.name, self.ends = name, dict[int, End]()
        self._head = {"id": name, "created": int(time()), "model": model, "system_fingerprint": None}
        self._tokenizer = tokenizer
        self._begun: set[int] = set()
        self._calls: dict[int, int] = {}
        self._live: defaultdict[int, LiveTimings] | None = defaultdict(LiveTimings) if live else None
        self._logprobs: dict[int, list[dict[str, Any]]] = {}

    def chunks(self, index: int, event: Event) -> list[dict[str, Any]]:
        """The chunks of an event of reply `index`."""
        made = []
        if index not in self._begun:
            self._begun.add(index)
            made.append(self._chunk(index, {"role": "assistant", "content": ""}))
        if isinstance(event, End):
            self.ends[index] = event
            last = self._chunk(index, {}, finish_reason(event))
            last["choices"][0]["thinking"] = thinking(event)
            made.append(last | {"timings": timings(event)})
        elif delta := self._delta(index, event):
            chunk = self._chunk(index, delta)
            if isinstance(event, AnswerPiece) and event.logprobs:
                chunk["choices"][0]["logprobs"] = {"content": self._noted(event.logprobs)}
            if self._live is not None and (now := self._live[index].of(event)):
                chunk["timings"] = now
            made.append(chunk)
        return made

    def last_chunk(self) -> dict[str, Any]:
        """The chunk of figures after all others, where it was asked for."""
        return {
            **self._head,
            "object": "chat.completion.chunk",
            "choices": [],
            "usage": usage(list(self.ends.values())),
        }

    def add(self, index: int, event: Event) -> None:
        """Take note of an event for `whole`."""
        if isinstance(event, End):
            self.ends[index] = event
        elif isinstance(event, AnswerPiece) and event.logprobs:
            self._logprobs.setdefault(index, []).extend(self._noted(event.logprobs))

    def whole(self, *, logprobs: bool) -> dict[str, Any]:
        """The completion, once every reply has ended."""
        ends = [self.ends[index] for index in sorted(self.ends)]
        choices = [self._choice(index, self.ends[index], logprobs=logprobs) for index in sorted(self.ends)]
        whole = {**self._head, "object": "chat.completion", "choices": choices, "usage": usage(ends)}
        return whole | {"timings": timings(ends[0])}

    def _choice(self, index: int, end: End, *, logprobs: bool) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": end.answer, "refusal": None}
        if end.tool_calls:
            message["content"] = end.answer.strip() or None
            message["tool_calls"] = [call_json(call) for call in end.tool_calls]
        if end.thought:
            message |= {"reasoning_content": end.thought, "reasoning": end.thought}
        noted = {"content": self._logprobs.get(index, []), "refusal": None} if logprobs else None
        return {
            "index": index,
            "message": message,
            "logprobs": noted,
            "finish_reason": finish_reason(end),
            "thinking": thinking(end),
        }

    def _delta(self, index: int, event: Event) -> dict[str, Any]:
        if isinstance(event, ThoughtPiece):
            return {"reasoning_content": event.text, "reasoning": event.text} if event.text else {}
        if isinstance(event, ToolCall):
            at = self._calls[index] = self._calls.get(index, -1) + 1
            return {"tool_calls": [{"index": at, **call_json(event)}]}
        assert isinstance(event, AnswerPiece)
        return {"content": event.text}

    def _chunk(self, index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}

    def _noted(self, noted: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
        return [
            self._one(one.id, one.logprob) | {"top_logprobs": [self._one(*top) for top in one.top]} for one in noted
        ]

    def _one(self, token: int, logprob: float) -> dict[str, Any]:
        data = token_bytes(self._tokenizer.token(token) or "")
        return {"token": data.decode("utf-8", "replace"), "logprob": max(logprob, -9999.0), "bytes": list(data)}


def call_json(call: ToolCall) -> dict[str, Any]:
    """A tool call; what is wrong with it, if anything, is its `problem`."""
    arguments = call.text if call.arguments is None else json.dumps(call.arguments, ensure_ascii=False)
    made = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
    return made if call.problem is None else made | {"problem": call.problem}

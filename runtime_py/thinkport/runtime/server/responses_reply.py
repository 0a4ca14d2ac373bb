"""A response as JSON, whole or event by event, as OpenAI's Responses interface has it.

https://platform.openai.com/docs/api-reference/responses-streaming. Knows events of replies and that interface's items:
a thought is a `reasoning` item, an answer a `message`, a call a `function_call`. Must not know HTTP.
"""

from collections import OrderedDict
from collections.abc import Iterator
from time import time
from typing import Any
from uuid import uuid4

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import AnswerPiece, End, Event, ThoughtPiece, ToolCall
from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.chat_route import call_text
from thinkport.runtime.server.figures import thinking, timings, usage
from thinkport.runtime.server.service import Answer

_THOUGHT, _ANSWER = "reasoning", "message"
_PARTS = {_THOUGHT: "reasoning_text", _ANSWER: "output_text"}
_PREFIX = {_THOUGHT: "rs", _ANSWER: "msg", "function_call": "fc"}
_FIELDS: dict[str, dict[str, Any]] = {_THOUGHT: {"summary": []}, _ANSWER: {"role": "assistant"}}
_EXTRAS: dict[str, dict[str, Any]] = {_THOUGHT: {}, _ANSWER: {"logprobs": []}}


class ItemMemory:
    """Items of the last responses by their ids: clients send references in place of the items."""

    def __init__(self, most: int = 4096):
        """Keep `most` items."""
        self._items, self._most = OrderedDict[str, dict[str, Any]](), most

    def keep(self, item: dict[str, Any]) -> None:
        """Remember an item, and forget the oldest where there are too many."""
        self._items[item["id"]] = item
        while len(self._items) > self._most:
            self._items.popitem(last=False)

    def resolved(self, given: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
        """A request's input with the items that it refers to.

        Raises:
            ApiError: 404, one is not known here any more.
        """
        return given if isinstance(given, str) else [self._item(item, f"input.{at}") for at, item in enumerate(given)]

    def _item(self, given: dict[str, Any], where: str) -> dict[str, Any]:
        if given.get("type") != "item_reference":
            return given
        item = self._items.get(str(given.get("id")))
        if item is None:
            raise ApiError(404, f"{where} refers to an item that is not known here: send the item itself", param=where)
        return item


class ResponsesReply(Answer):
    """One response, as it comes. `head` holds the request's own settings, which a response repeats.

    `memory` keeps its items.
    """

    def __init__(self, name: str, head: dict[str, Any], memory: ItemMemory):
        self._memory = memory
        self._head = {"id": name, "object": "response", "created_at": int(time()), **head}
        self._output: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._text = ""
        self._number = 0
        self._end: End | None = None

    def events(self, index: int, event: Event) -> Iterator[dict[str, Any]]:
        """The interface's events of an event of its one reply."""
        if not self._number:
            for kind in ("response.created", "response.in_progress"):
                yield self._event(kind, response=self.whole())
        if isinstance(event, ThoughtPiece | AnswerPiece):
            kind = _THOUGHT if isinstance(event, ThoughtPiece) else _ANSWER
            if event.text:
                yield from self._piece(kind, event.text)
            return
        yield from self._close()
        if isinstance(event, ToolCall):
            yield from self._call(event)
        elif isinstance(event, End):
            self._end = event
            done = "response.completed" if self._status() == "completed" else "response.incomplete"
            yield self._event(done, response=self.whole())

    def whole(self) -> dict[str, Any]:
        """The response as it stands."""
        end, status = self._end, self._status()
        made = {**self._head, "status": status, "output": list(self._output), "error": None, "usage": None}
        made["incomplete_details"] = {"reason": "max_output_tokens"} if status == "incomplete" else None
        if end is not None:
            made |= {"usage": _usage(end), "thinking": thinking(end), "timings": timings(end)}
        return made

    def _status(self) -> str:
        if self._end is None:
            return "in_progress"
        return "completed" if self._end.answer_end is Finish.STOP else "incomplete"

    def _piece(self, kind: str, text: str) -> Iterator[dict[str, Any]]:
        if self._open is None or self._open["type"] != kind:
            yield from self._close()
            self._text = ""
            yield self._begin_item(kind, {**_FIELDS[kind], "content": []})
            yield self._event("response.content_part.added", **self._at(), content_index=0, part=_part(kind, ""))
        self._text += text
        delta = f"response.{_PARTS[kind]}.delta"
        yield self._event(delta, **self._at(), content_index=0, delta=text, **_EXTRAS[kind])

    def _begin_item(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._open = {"id": f"{_PREFIX[kind]}_{uuid4().hex}", "type": kind, "status": "in_progress", **fields}
        return self._event("response.output_item.added", output_index=len(self._output), item=dict(self._open))

    def _close(self) -> Iterator[dict[str, Any]]:
        if self._open is None:
            return
        kind, text = self._open["type"], self._text
        done = f"response.{_PARTS[kind]}.done"
        yield self._event(done, **self._at(), content_index=0, text=text, **_EXTRAS[kind])
        yield self._event("response.content_part.done", **self._at(), content_index=0, part=_part(kind, text))
        yield self._end_item(content=[_part(kind, text)])

    def _call(self, call: ToolCall) -> Iterator[dict[str, Any]]:
        arguments = call_text(call)
        yield self._begin_item("function_call", {"call_id": call.id, "name": call.name, "arguments": ""})
        at = self._at()
        yield self._event("response.function_call_arguments.delta", **at, delta=arguments)
        yield self._event("response.function_call_arguments.done", **at, name=call.name, arguments=arguments)
        problem = {} if call.problem is None else {"problem": call.problem}
        yield self._end_item(arguments=arguments, **problem)

    def _end_item(self, **values: Any) -> dict[str, Any]:
        assert self._open is not None
        self._output.append({**self._open, **values, "status": "completed"})
        self._memory.keep(self._output[-1])
        self._open = None
        return self._event("response.output_item.done", output_index=len(self._output) - 1, item=self._output[-1])

    def _at(self) -> dict[str, Any]:
        assert self._open is not None
        return {"item_id": self._open["id"], "output_index": len(self._output)}

    def _event(self, kind: str, **values: Any) -> dict[str, Any]:
        number, self._number = self._number, self._number + 1
        return {"type": kind, "sequence_number": number, **values}


def _part(kind: str, text: str) -> dict[str, Any]:
    part = {"type": _PARTS[kind], "text": text, **_EXTRAS[kind]}
    return part | {"annotations": []} if kind == _ANSWER else part


def _usage(end: End) -> dict[str, Any]:
    counted = usage([end])
    return {
        "input_tokens": counted["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": end.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": counted["completion_tokens_details"]["reasoning_tokens"]},
        "total_tokens": counted["total_tokens"],
    }

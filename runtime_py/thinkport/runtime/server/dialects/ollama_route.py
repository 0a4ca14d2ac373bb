"""Chat as Ollama has it: `POST /api/chat` (https://github.com/ollama/ollama/blob/main/docs/api.md), lines of JSON.

With it stand `/api/tags` and `/api/version`, by which clients find out what is served. Knows that interface's fields
and replies; must not know how a reply is sent.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import AnswerPiece, End, Event, ThoughtEnd, ThoughtPiece, ThoughtsProgress, ToolCall
from thinkport.runtime.model import Model
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.chat_messages import chat_messages, function_tool
from thinkport.runtime.server.fields import checked_fields, read_body
from thinkport.runtime.server.figures import usage
from thinkport.runtime.server.reply_fields import ReplyFields, checked_stops
from thinkport.runtime.server.reply_plan import ReplyPlan
from thinkport.runtime.server.service import Answer, Service
from thinkport.runtime.server.settings import ServerSettings
from thinkport.runtime.server.thinking_fields import ThinkingFields
from thinkport.runtime.tools.response_format import JsonSchema, ResponseFormat

_SAMPLING = {"repeat_penalty": "repetition_penalty"} | {
    name: name for name in ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "seed")
}
_ANY_SEED = -1  # what Ollama's clients send for none
_PLANNED = ("num_predict", "stop")
# About Ollama's own engine: without a meaning here.
_ENGINE = ("num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "numa", "low_vram")


class OllamaRequest(ReplyFields, ThinkingFields):
    """A chat, as Ollama's interface has it; it is streamed if `stream` is not given."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    tools: list[dict[str, Any]] | None = None
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    keep_alive: Any = None

    def request(self, model: Model, settings: ServerSettings) -> ReplyRequest:
        """See `ReplyFields.request`."""
        given = self.options or {}
        if unknown := sorted(set(given) - {*_SAMPLING, *_PLANNED, *_ENGINE}):
            raise bad(f"options has {', '.join(unknown)}, expected of: {', '.join((*_SAMPLING, *_PLANNED))}", "options")
        named = {_SAMPLING[name]: value for name, value in given.items() if name in _SAMPLING and value is not None}
        if named.get("seed") == _ANY_SEED:
            del named["seed"]
        fields = checked_fields(ReplyFields, named)
        most = given.get("num_predict")
        if most is not None and (type(most) is not int or most < -2 or most == 0):
            raise bad(f"options.num_predict is {most!r}, expected 1 or more, or -1 for no limit", "options")
        return replace(
            fields.request(model, settings),
            messages=chat_messages([_told(one) for one in self.messages], settings.max_messages),
            tools=[function_tool(tool, f"tools.{at}") for at, tool in enumerate(self.tools or [])] or None,
            call=self.asked(
                model.thinking, model.manifest.model.context_length, settings.width_of(model.replies.max_rows)
            ),
            max_tokens=most if most is not None and most > 0 else None,
            response_format=self._form(),
        )

    def plan(self, model: Model, settings: ServerSettings) -> ReplyPlan:
        """See `ReplyFields.plan`."""
        stops = (self.options or {}).get("stop") or ()
        if not isinstance(stops, str | list | tuple) or not all(isinstance(one, str) for one in stops):
            raise bad("options.stop is no text and no list of texts", "options")
        stops = checked_stops((stops,) if isinstance(stops, str) else stops)
        return replace(super().plan(model, settings), stops=stops, stream=self.stream is not False)

    def _form(self) -> ResponseFormat | None:
        if self.format in (None, ""):
            return None
        if self.format == "json":
            return JsonSchema({"type": "object"})
        if isinstance(self.format, Mapping):
            return JsonSchema(self.format)
        raise bad("format is neither json nor a JSON schema", "format")


async def chat(request: Request) -> Response:
    """Reply to messages."""
    service, body = Service.of(request), await read_body(request, OllamaRequest)
    plan, job = await service.begin("ollama", body)
    return await service.answer(job, plan, OllamaReply(service.name))


async def tags(request: Request) -> Response:
    """The one model there is."""
    service = Service.of(request)
    name, manifest = service.name, service.model.manifest
    details = {"format": "onnx", "quantization_level": manifest.recipe.name}
    return JSONResponse({"models": [{"name": name, "model": name, "details": details}]})


async def ollama_version(_: Request) -> Response:
    """Some clients look whether a server is there by this."""
    return JSONResponse({"version": version("thinkport")})


class OllamaReply(Answer):
    """One chat's reply, as it comes."""

    media, still_here = "application/x-ndjson", ""

    def __init__(self, model: str):
        self._model = model
        self._end: dict[str, Any] = {}
        self._message: dict[str, Any] = {"role": "assistant", "content": ""}

    def frame(self, value: Mapping[str, Any]) -> str:
        """See `Answer`; an error is its sentence alone."""
        error = value.get("error")
        said = {"error": error["message"]} if isinstance(error, Mapping) else value
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"

    def events(self, index: int, event: Event) -> Iterator[dict[str, Any]]:
        """A line of JSON for an event of its one reply."""
        if isinstance(event, End):
            self._end = self._figures(event)
            yield self._line({"role": "assistant", "content": ""}) | self._end
            return
        delta = _delta(event)
        if delta:
            for name, value in delta.items():
                self._message[name] = self._message.get(name, type(value)()) + value
            yield self._line({"role": "assistant", "content": "", **delta}) | {"done": False}

    def whole(self) -> dict[str, Any]:
        """The reply, once it has ended."""
        return self._line(self._message) | self._end

    def _line(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"model": self._model, "created_at": datetime.now(UTC).isoformat(), "message": message}

    def _figures(self, end: End) -> dict[str, Any]:
        seconds = {"prompt_eval_duration": end.prefill.seconds, "load_duration": 0.0}
        seconds["eval_duration"] = end.thinking.seconds + end.answering.seconds
        seconds["total_duration"] = sum(seconds.values())
        return {
            "done": True,
            "done_reason": "stop" if end.answer_end is Finish.STOP else "length",
            **{name: round(value * 1e9) for name, value in seconds.items()},
            "prompt_eval_count": end.prompt_tokens,
            "eval_count": usage([end])["completion_tokens"],
        }


def _delta(event: Event) -> dict[str, Any]:
    if isinstance(event, ThoughtEnd | ThoughtsProgress):
        return {}
    if isinstance(event, ToolCall):
        arguments = event.arguments if isinstance(event.arguments, dict) else {}
        return {"tool_calls": [{"function": {"name": event.name, "arguments": arguments}}]}
    assert isinstance(event, ThoughtPiece | AnswerPiece)
    name = "thinking" if isinstance(event, ThoughtPiece) else "content"
    return {name: event.text} if event.text else {}


def _told(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in the words of chat completions."""
    if message.get("images"):
        raise bad("a message has images, which this model can't see: leave them out", "messages")
    renamed = {"thinking": "reasoning_content", "tool_name": "name"}
    return {renamed.get(name, name): value for name, value in message.items() if value is not None}

"""Chat completions: `POST /v1/chat/completions` (https://platform.openai.com/docs/api-reference/chat/create).

Thoughts have two names in a reply, as clients read one or the other.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from thinkport.runtime.engine.generation import TokenLogprob
from thinkport.runtime.events import AnswerPiece, End, Event, ThoughtEnd, ThoughtPiece, ThoughtsProgress, ToolCall
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.api_error import ApiError, bad
from thinkport.runtime.server.chat_messages import chat_messages
from thinkport.runtime.server.choices import Choices
from thinkport.runtime.server.fields import read_body
from thinkport.runtime.server.figures import LiveTimings, finish_reason, thinking, timings
from thinkport.runtime.server.jobs import Job
from thinkport.runtime.server.reply_fields import ChoiceFields, ConversationFields, response_format_of
from thinkport.runtime.server.service import Service
from thinkport.runtime.server.settings import ServerSettings


class ChatRequest(ConversationFields, ChoiceFields):
    """A chat completion, as OpenAI's interface has it, with what other servers add."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    modalities: list[Literal["text"]] | None = None
    timings_per_token: bool | None = Field(None, description="Each chunk of a stream says how fast it goes.")

    def request(self, model: Model, settings: ServerSettings) -> ReplyRequest:
        """See `ReplyFields.request`."""
        if self.top_logprobs is not None and not self.logprobs:
            raise bad("top_logprobs asks for what logprobs switches on: set logprobs to true", "top_logprobs")
        return replace(
            super().request(model, settings),
            messages=chat_messages(self.messages, settings.max_messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            response_format=response_format_of(self.response_format),
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
        )


async def chat_completions(request: Request) -> Response:
    """Reply to messages."""
    service, body = Service.of(request), await read_body(request, ChatRequest)
    plan, job = await service.begin("chatcmpl", body)
    live, tokenizer = bool(body.timings_per_token), service.model.tokenizer
    reply = ChatReply(job.name, service.name, tokenizer, logprobs=bool(body.logprobs), live=live)
    return await service.answer(job, plan, reply)


async def stop_thinking(request: Request) -> Response:
    """Close the thought of a reply that is being streamed, so that its answer comes."""
    _job(request).stop.stop_thinking()
    return Response(status_code=204)


async def stop(request: Request) -> Response:
    """End a reply that is being streamed: its stream still tells its end and its figures."""
    _job(request).stop.cancel()
    return Response(status_code=204)


def _job(request: Request) -> Job:
    job = Service.of(request).jobs.find(request.path_params["reply"])
    if job is None:
        raise ApiError(404, "no reply of that id goes on: it has ended, or never began")
    return job


class ChatReply(Choices):
    """The replies of a chat completion."""

    whole_kind, chunk_kind = "chat.completion", "chat.completion.chunk"

    def __init__(self, name: str, model: str, tokenizer: Tokenizer, *, logprobs: bool, live: bool):
        """`live`: every chunk of a piece says how fast it goes."""
        super().__init__(name, model, tokenizer, logprobs=logprobs)
        self._head |= {"system_fingerprint": None}
        self._calls = defaultdict[int, int](int)
        self._live = defaultdict[int, LiveTimings](LiveTimings) if live else None

    def choice(self, index: int, end: End, noted: Sequence[TokenLogprob] | None) -> dict[str, Any]:
        """See `Choices`."""
        message: dict[str, Any] = {"role": "assistant", "content": end.answer, "refusal": None}
        if end.tool_calls:
            message["content"] = end.answer.strip() or None
            message["tool_calls"] = [call_json(call) for call in end.tool_calls]
        if end.thought:
            message |= _thought(end.thought)
        return {
            "index": index,
            "message": message,
            "logprobs": None if noted is None else {"content": self._logprobs(noted), "refusal": None},
            "finish_reason": finish_reason(end),
            "thinking": thinking(end),
        }

    def contents(self, index: int, event: Event, *, first: bool) -> Iterator[dict[str, Any]]:
        """See `Choices`."""
        if first:
            yield _content(index, {"role": "assistant", "content": ""})
        if isinstance(event, End):
            ended = _content(index, {}, finish_reason=finish_reason(event), thinking=thinking(event))
            yield ended | {"timings": timings(event)}
        elif isinstance(event, ThoughtsProgress):
            yield _content(index, {}, thinking={"tokens": event.tokens, "ended": event.ended})
        elif delta := self._delta(index, event):
            noted = event.logprobs if isinstance(event, AnswerPiece) else ()
            content = _content(index, delta, logprobs={"content": self._logprobs(noted)} if noted else None)
            if self._live is not None and (now := self._live[index].of(event)):
                content["timings"] = now
            yield content

    def _delta(self, index: int, event: Event) -> dict[str, Any]:
        if isinstance(event, ThoughtEnd | ThoughtsProgress):
            return {}
        if isinstance(event, ThoughtPiece):
            return _thought(event.text) if event.text else {}
        if isinstance(event, ToolCall):
            self._calls[index] += 1
            return {"tool_calls": [{"index": self._calls[index] - 1, **call_json(event)}]}
        assert isinstance(event, AnswerPiece)
        return {"content": event.text}

    def _logprobs(self, noted: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
        return [
            self._one(one.id, one.logprob) | {"top_logprobs": [self._one(*top) for top in one.top]} for one in noted
        ]

    def _one(self, token: int, logprob: float) -> dict[str, Any]:
        data = self.spelled(token)
        return {"token": data.decode("utf-8", "replace"), "logprob": max(logprob, -9999.0), "bytes": list(data)}


def call_json(call: ToolCall) -> dict[str, Any]:
    """A tool call; what is wrong with it, if anything, is its `problem`."""
    made = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call_text(call)}}
    return made if call.problem is None else made | {"problem": call.problem}


def call_text(call: ToolCall) -> str:
    """A call's arguments as JSON; the text that the model wrote where it is none."""
    return call.text if call.arguments is None else json.dumps(call.arguments, ensure_ascii=False)


def _thought(text: str) -> dict[str, Any]:
    return {"reasoning_content": text, "reasoning": text}


def _content(index: int, delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **fields}]}

"""Chat completions: `POST /v1/chat/completions` (https://platform.openai.com/docs/api-reference/chat/create)."""

from dataclasses import replace
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from thinkport.runtime.model import Model
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.api_error import ApiError, bad
from thinkport.runtime.server.chat_messages import chat_messages
from thinkport.runtime.server.chat_reply import ChatReply
from thinkport.runtime.server.fields import read_body
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
    modalities: list[str] | None = None
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
    job = Service.of(request).jobs.find(request.path_params["reply"])
    if job is None:
        raise ApiError(404, "no reply of that id goes on: it has ended, or never began")
    job.stop.stop_thinking()
    return Response(status_code=204)

"""Responses: `POST /v1/responses` (https://platform.openai.com/docs/api-reference/responses/create).

No earlier response can be continued: clients send the items again, or references to them, which the last ones resolve.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from thinkport.runtime.model import Model
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.chat_messages import chat_messages, item_messages
from thinkport.runtime.server.fields import read_body
from thinkport.runtime.server.reply_fields import ConversationFields, response_format_of
from thinkport.runtime.server.responses_reply import ItemMemory, ResponsesReply
from thinkport.runtime.server.service import Service
from thinkport.runtime.server.settings import ServerSettings


class ResponsesRequest(ConversationFields):
    """A response."""

    input: str | list[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    text: dict[str, Any] | None = None
    include: list[str] | None = None
    truncation: str | None = Field(None, pattern="^disabled$", description="Only disabled: nothing is left out.")
    background: bool | None = None
    previous_response_id: str | None = Field(
        None, max_length=0, description="Not supported, as nothing is stored: send the items again."
    )

    def request(self, model: Model, settings: ServerSettings) -> ReplyRequest:
        """See `ReplyFields.request`."""
        if self.background:
            raise bad("background is true, and nothing is stored here: leave it out", "background")
        lead = [{"role": "system", "content": self.instructions}] if self.instructions else []
        form = (self.text or {}).get("format")
        if form is not None and not isinstance(form, Mapping):
            raise bad("text.format is no object", "text.format")
        return replace(
            super().request(model, settings),
            messages=chat_messages([*lead, *item_messages(self.input)], settings.max_messages),
            max_tokens=self.max_output_tokens,
            response_format=response_format_of(form),
        )


async def responses(request: Request) -> Response:
    """Reply to items."""
    service, body = Service.of(request), await read_body(request, ResponsesRequest)
    memory = _memory(request)
    body = body.model_copy(update={"input": memory.resolved(body.input)})
    plan, job = await service.begin("resp", body)
    return await service.answer(job, plan, ResponsesReply(job.name, _head(body, service.name), memory))


def _memory(request: Request) -> ItemMemory:
    """The app's, which is made for its first response."""
    state = request.app.state
    if not hasattr(state, "items"):
        state.items = ItemMemory()
    memory: ItemMemory = state.items
    return memory


def _head(body: ResponsesRequest, model: str) -> dict[str, Any]:
    """What a response repeats of its request."""
    named = body.reasoning.get("effort") if isinstance(body.reasoning, dict) else None
    return {
        "model": model,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": body.reasoning_effort or named, "summary": None},
        "store": False,
        "temperature": body.temperature,
        "text": body.text or {"format": {"type": "text"}},
        "tool_choice": body.tool_choice or "auto",
        "tools": body.tools or [],
        "top_p": body.top_p,
        "truncation": "disabled",
        "user": body.user,
    }

"""Responses: `POST /v1/responses`."""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkport.runtime.server.fields import read_body
from thinkport.runtime.server.jobs import Piece
from thinkport.runtime.server.responses_plan import responses_plan
from thinkport.runtime.server.responses_reply import ResponsesReply
from thinkport.runtime.server.responses_request import ResponsesRequest
from thinkport.runtime.server.service import Service, data_frame


async def responses(request: Request) -> Response:
    """Reply to items."""
    service = Service.of(request)
    body = await read_body(request, ResponsesRequest)
    service.check_model(body.model)
    plan = responses_plan(body, service.model, service.settings)
    job = await service.begin("resp", lambda: plan.job(service.model))
    reply = ResponsesReply(job.name, _head(body, service.name))
    begun = list(reply.begin())
    if not plan.stream:
        async for _, event in service.read(request, job):
            for _ in reply.events(event):
                pass
        return JSONResponse(reply.whole())

    def frames(piece: Piece) -> Iterator[str]:
        while begun:
            yield _frame(begun.pop(0))
        yield from map(_frame, reply.events(piece.event))

    return service.stream(job, frames, lambda: iter(()))


def _frame(event: dict[str, Any]) -> str:
    return data_frame(event, event["type"])


def _head(body: ResponsesRequest, model: str) -> dict[str, Any]:
    """What a response repeats of its request."""
    return {
        "model": model,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": _effort(body), "summary": None},
        "store": False,
        "temperature": body.temperature,
        "text": body.text or {"format": {"type": "text"}},
        "tool_choice": body.tool_choice or "auto",
        "tools": body.tools or [],
        "top_p": body.top_p,
        "truncation": "disabled",
        "user": body.user,
    }


def _effort(body: ResponsesRequest) -> str | None:
    named = body.reasoning.get("effort") if isinstance(body.reasoning, dict) else None
    return body.reasoning_effort or named

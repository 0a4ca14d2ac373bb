"""Chat completions: `POST /v1/chat/completions`, and a word to one that goes on."""

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.chat_plan import ChatPlan
from thinkport.runtime.server.chat_reply import ChatReply
from thinkport.runtime.server.chat_request import ChatRequest
from thinkport.runtime.server.fields import read_body
from thinkport.runtime.server.jobs import Piece
from thinkport.runtime.server.service import Service, data_frame


async def chat_completions(request: Request) -> Response:
    """Reply to messages."""
    service = Service.of(request)
    body = await read_body(request, ChatRequest)
    service.check_model(body.model)
    plan = ChatPlan.of(body, service.model, service.settings)
    job = await service.begin("chatcmpl", lambda: plan.job(service.model))
    reply = ChatReply(job.name, service.name, service.model.tokenizer, live=bool(body.timings_per_token))
    if not plan.stream:
        async for index, event in service.read(request, job):
            reply.add(index, event)
        return JSONResponse(reply.whole(logprobs=bool(body.logprobs)))

    def frames(piece: Piece) -> Iterator[str]:
        yield from map(data_frame, reply.chunks(piece.number, piece.event))

    def last() -> Iterator[str]:
        if plan.include_usage and reply.ends:
            yield data_frame(reply.last_chunk())
        yield "data: [DONE]\n\n"

    return service.stream(job, frames, last)


async def stop_thinking(request: Request) -> Response:
    """Close the thought of a reply that is being streamed, so that its answer comes."""
    job = Service.of(request).jobs.find(request.path_params["reply"])
    if job is None:
        raise ApiError(404, "no reply of that id goes on: it has ended, or never began")
    job.stop_thinking()
    return Response(status_code=204)

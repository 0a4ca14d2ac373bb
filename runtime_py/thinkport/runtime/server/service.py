"""What every route uses: the model, the jobs, the figures, and how a job's events are sent to a client.

Knows the app's state; must not know what a body's fields mean.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import wraps
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from thinkport.runtime.events import Event, ThoughtsProgress
from thinkport.runtime.model import Model
from thinkport.runtime.server.api_error import NO_MODEL, ApiError, failure
from thinkport.runtime.server.jobs import Job, Jobs, Places
from thinkport.runtime.server.metrics import Metrics
from thinkport.runtime.server.reply_fields import ReplyFields
from thinkport.runtime.server.reply_plan import ReplyPlan
from thinkport.runtime.server.settings import ServerSettings


class Answer:
    """What a route sends of a job, whole or event by event.

    A stream is server-sent events, where a subclass says nothing else: `media` is its type, `still_here` what is sent
    while nothing comes, and `last_frame` its end.
    """

    media, still_here, last_frame = "text/event-stream", ": still here\n\n", ""

    def frame(self, value: Mapping[str, Any]) -> str:
        """An event, or an error, as the stream has it."""
        head = f"event: {value['type']}\n" if "type" in value else ""
        return f"{head}data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"

    def events(self, index: int, event: Event) -> Iterator[dict[str, Any]]:
        """What a stream holds of an event of reply `index`; all of them have to be asked for before `whole` is."""
        raise NotImplementedError

    def figures(self) -> Iterator[dict[str, Any]]:
        """What a stream that counts tokens holds after all others."""
        return iter(())

    def whole(self) -> dict[str, Any]:
        """The whole response, once every reply has ended."""
        raise NotImplementedError


class Service:
    """One model, served."""

    def __init__(self, model: Model, name: str, settings: ServerSettings):
        self.model, self.name, self.settings = model, name, settings
        places = Places(model, settings.rows_of(model.rows.max_rows), settings.queue)
        self.jobs = Jobs(places)
        self.metrics = Metrics(places)

    @staticmethod
    def of(request: Request) -> "Service":
        """The service that a request came to."""
        service: Service = request.app.state.service
        return service

    def check_model(self, asked: str | None) -> None:
        """Refuse a request for another model.

        Raises:
            ApiError: 404.
        """
        if asked not in (None, "", self.name, "default"):
            raise ApiError(
                404, f"no model {asked[:80]!r} is served here, expected {self.name!r}", param="model", code=NO_MODEL
            )

    async def begin(self, prefix: str, body: ReplyFields) -> tuple[ReplyPlan, Job]:
        """Begin what a body asks for. It is planned in a thread, since encoding a long prompt takes time.

        Raises:
            ThinkportError, ApiError: a request that can't be run, or not now.
        """
        self.check_model(body.model)
        plan = await asyncio.to_thread(body.plan, self.model, self.settings)
        return plan, await self.jobs.start(f"{prefix}-{uuid4().hex}", plan)

    async def answer(self, job: Job, plan: ReplyPlan, answer: Answer) -> Response:
        """The response of a job, whole or as a stream; a job whose client is gone ends at its next token.

        Raises:
            ThinkportError: the reply failed before it was whole.
        """
        noted = {"x-thinkport-note": "; ".join(plan.notes)} if plan.notes else {}
        if not plan.stream:
            try:
                async for piece in job.pieces():
                    if piece is not None:
                        self.metrics.note(piece.event)
                        deque(answer.events(*piece), maxlen=0)
            finally:
                job.stop.cancel()
            return JSONResponse(answer.whole(), headers=noted)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no", "x-thinkport-reply": job.name}
        return ReplyStream(self._frames(job, plan, answer), answer.media, job, headers | noted)

    async def _frames(self, job: Job, plan: ReplyPlan, answer: Answer) -> AsyncIterator[str]:
        """What is sent; once a stream has begun, an error can only be told within it."""
        try:
            async for piece in job.pieces():
                if piece is None:
                    yield answer.still_here
                    continue
                self.metrics.note(piece.event)
                silent = isinstance(piece.event, ThoughtsProgress)  # in the form of most interfaces
                for event in answer.events(*piece):
                    silent = False
                    yield answer.frame(event)
                if silent:
                    yield answer.still_here
            if plan.include_usage:
                for event in answer.figures():
                    yield answer.frame(event)
            yield answer.last_frame
        except Exception as error:
            yield answer.frame(failure(error).as_json())


class ReplyStream(StreamingResponse):
    """A stream that ends its job however it ends: its frames, left in the middle, would wait for the collector."""

    def __init__(self, frames: AsyncIterator[str], media: str, job: Job, headers: Mapping[str, str]):
        super().__init__(frames, media_type=media, headers=headers)
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._job.stop.cancel()


def while_connected(route: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A route that is cancelled where its client hangs up before there is a response, be it in the line for a place."""

    @wraps(route)
    async def watched(request: Request) -> Response:
        await request.body()  # then nothing but the end of the connection is left to be received
        answering, leaving = asyncio.ensure_future(route(request)), asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ApiError(499, "the client hung up before its response")
            return answering.result()
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    return watched

"""What every route uses: the model, the jobs, the figures, and two ways to send a job's events to a client.

Knows the app's state; must not know what a body's fields mean.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import StreamingResponse

from thinkport.runtime.errors import InputError, ThinkportError
from thinkport.runtime.model import Model
from thinkport.runtime.server.api_error import ApiError, bad
from thinkport.runtime.server.jobs import Job, Jobs, Piece, Plan
from thinkport.runtime.server.metrics import Metrics
from thinkport.runtime.server.places import Places
from thinkport.runtime.server.reply_fields import ReplyFields
from thinkport.runtime.server.reply_plan import ReplyPlan
from thinkport.runtime.server.settings import ServerSettings

Frames = Callable[[Piece], Iterator[str]]


class Service:
    """One model, served."""

    def __init__(self, model: Model, name: str, settings: ServerSettings):
        self.model, self.name, self.settings = model, name, settings
        places = Places(model, settings.parallel, settings.queue)
        self.jobs = Jobs(places)
        self.metrics = Metrics(places)

    @staticmethod
    def of(request: Request) -> "Service":
        """The service that a request came to."""
        service = request.app.state.service
        assert isinstance(service, Service)
        return service

    def check_model(self, asked: str | None) -> None:
        """Refuse a request for another model.

        Raises:
            ApiError: 404.
        """
        if asked not in (None, "", self.name, "default"):
            raise ApiError(404, f"no model {asked[:80]!r} is served here, expected {self.name!r}", param="model")

    async def begin(self, prefix: str, body: ReplyFields) -> tuple[ReplyPlan, Job]:
        """Begin what a body asks for. It is planned in a thread, since encoding a long prompt takes time.

        Raises:
            ApiError: a request that can't be run, or not now.
        """
        self.check_model(body.model)

        def planned() -> tuple[ReplyPlan, Plan]:
            plan = body.plan(self.model, self.settings)
            return plan, plan.job(self.model)

        try:
            plan, made = await asyncio.to_thread(planned)
            return plan, await self.jobs.start(f"{prefix}-{uuid4().hex}", made)
        except InputError as error:
            raise bad(str(error)) from None

    async def read(self, request: Request, job: Job) -> AsyncIterator[Piece]:
        """Yield every event of a job whose client waits for the whole reply; the job ends if the client hangs up.

        Raises:
            ApiError: 500, the reply failed.
        """
        gone = asyncio.ensure_future(_end_when_gone(request, job))
        try:
            async for piece in job.pieces():
                if piece is not None:
                    self.metrics.note(piece.event)
                    yield piece
        except ThinkportError as error:
            raise ApiError(500, str(error)) from None
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
            job.cancel()

    def stream(self, job: Job, frames: Frames, last: Callable[[], Iterator[str]]) -> StreamingResponse:
        """A stream of server-sent events; the job ends at its next token when the reader is gone."""

        async def body() -> AsyncIterator[str]:
            try:
                async for piece in job.pieces():
                    if piece is None:
                        yield ": still here\n\n"
                        continue
                    self.metrics.note(piece.event)
                    for frame in frames(piece):
                        yield frame
                for frame in last():
                    yield frame
            except ThinkportError as error:
                yield data_frame(ApiError(500, str(error)).as_json())
            except Exception as error:  # once a stream has begun, an error can only be told within it
                failed = f"the server failed ({type(error).__name__}): this is a bug of thinkport"
                yield data_frame(ApiError(500, failed).as_json())
            finally:
                job.cancel()

        headers = {"cache-control": "no-store", "x-accel-buffering": "no", "x-thinkport-reply": job.name}
        return StreamingResponse(body(), media_type="text/event-stream", headers=headers)


def data_frame(value: Any, event: str | None = None) -> str:
    """A server-sent event with JSON."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _end_when_gone(request: Request, job: Job) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    job.cancel()

"""The app: which function answers which path, and what happens to errors.

Knows routes; must not know sockets: `run.py` listens.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thinkport.runtime.errors import InputError, ThinkportError
from thinkport.runtime.model import Model
from thinkport.runtime.server.api_error import ApiError, failure
from thinkport.runtime.server.chat_route import chat_completions, stop, stop_thinking
from thinkport.runtime.server.completion_route import completions
from thinkport.runtime.server.dialects.messages_route import count_tokens, messages
from thinkport.runtime.server.dialects.ollama_route import chat, ollama_version, tags
from thinkport.runtime.server.guard import Guard
from thinkport.runtime.server.interface.page import page_routes
from thinkport.runtime.server.model_routes import detokenize, health, metrics, model, models, tokenize
from thinkport.runtime.server.openapi import openapi
from thinkport.runtime.server.responses_route import responses
from thinkport.runtime.server.search_routes import embeddings, rerank
from thinkport.runtime.server.service import Service, while_connected
from thinkport.runtime.server.settings import ServerSettings

LOG = logging.getLogger("thinkport.server")


def create_app(served: Model, name: str, settings: ServerSettings | None = None) -> Starlette:
    """The app that serves a model under a name; `app.state.service` is what it works with.

    Its lifespan ends replies when the app ends. The model stays the caller's, who closes it.

    Raises:
        InputError: the settings have more rows than the model was loaded for, or fewer than it thinks thoughts at a
            time unless a request says otherwise.
    """
    chosen = settings or ServerSettings()
    chosen = replace(chosen, max_rows=chosen.rows_of(served.rows.max_rows))
    width = served.thinking.width if served.manifest.thinking is not None else 1
    if width > (most := chosen.width_of(served.replies.max_rows)):
        raise InputError(
            f"the server's max_rows is {most} and the model thinks {width} thoughts at a time: give ServerSettings("
            f"max_rows={width}) or more, or load the model with Thinking(width={most}) or less"
        )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.service = service = Service(served, name, chosen)
        idle = chosen.idle_seconds
        unloading = None if idle is None else asyncio.ensure_future(service.jobs.places.unload_after(idle))
        yield
        if unloading is not None:
            unloading.cancel()
        await service.jobs.end(chosen.grace_seconds)

    document = openapi(key=chosen.api_key is not None)

    async def description(_: Request) -> Response:
        return JSONResponse(document)

    routes = [
        Route("/v1/chat/completions", while_connected(chat_completions), methods=["POST"]),
        Route("/v1/chat/completions/{reply}/stop_thinking", stop_thinking, methods=["POST"]),
        Route("/v1/chat/completions/{reply}/stop", stop, methods=["POST"]),
        Route("/v1/completions", while_connected(completions), methods=["POST"]),
        Route("/v1/responses", while_connected(responses), methods=["POST"]),
        Route("/v1/messages", while_connected(messages), methods=["POST"]),
        Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
        Route("/api/chat", while_connected(chat), methods=["POST"]),
        Route("/api/tags", tags),
        Route("/api/version", ollama_version),
        Route("/v1/embeddings", while_connected(embeddings), methods=["POST"]),
        Route("/v1/rerank", while_connected(rerank), methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{model:path}", model),
        Route("/tokenize", tokenize, methods=["POST"]),
        Route("/detokenize", detokenize, methods=["POST"]),
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/openapi.json", description),
        *page_routes(),
    ]
    layers = [Middleware(_Counted, routes=routes, log=chosen.log_requests), Middleware(Guard, settings=chosen)]
    handlers: dict[Any, Any] = dict.fromkeys((ApiError, HTTPException, ThinkportError, Exception), _told)
    return Starlette(routes=routes, lifespan=lifespan, middleware=layers, exception_handlers=handlers)


async def _told(_: Request, error: Exception) -> Response:
    return failure(error).response()


class _Counted:
    """Counts requests by route and status, and logs a line about each if asked to, without paths, prompts or keys."""

    def __init__(self, app: ASGIApp, routes: list[Route], log: bool):
        self._app, self._routes, self._log = app, routes, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = monotonic(), "none"

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            route = self._route(scope)
            scope["app"].state.service.metrics.requests.labels(route, status).inc()
            if self._log:
                LOG.info("%s %s %s %.3f s", scope["method"], route, status, monotonic() - began)

    def _route(self, scope: Scope) -> str:
        """The pattern of the path, or `other`: what a client writes never becomes a label."""
        return next((route.path for route in self._routes if route.matches(scope)[0] is not Match.NONE), "other")

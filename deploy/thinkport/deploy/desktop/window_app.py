"""What the window's page speaks to: the server's app once a model is open, and the window's own paths beside it.

The page comes in by a URL that holds a ticket and works once; from then on a cookie is the key, so that no address
holds it. Knows requests; must not know the web view, but by its dialogs.
"""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from thinkport.deploy.desktop.conversation_files import ConversationFiles, write_file
from thinkport.deploy.desktop.stage import Stage
from thinkport.runtime.errors import ThinkportError
from thinkport.runtime.server.api_error import ApiError, bad, failure
from thinkport.runtime.server.guard import Guard
from thinkport.runtime.server.interface.page import page_routes
from thinkport.runtime.server.settings import ServerSettings

_COOKIE = "thinkport-window"
_ENTRY = "/enter/"


class Dialogs(Protocol):
    """The system's dialogs; each waits for the person, and gives None where they chose nothing."""

    def folder(self) -> Path | None:
        """Ask for a folder."""

    def file(self, name: str) -> Path | None:
        """Ask where to write a file that is called `name`."""


class WindowApp:
    """The ASGI app of a window."""

    def __init__(
        self, stage: Stage, files: ConversationFiles, dialogs: Callable[[], Dialogs], settings: ServerSettings
    ):
        """`settings.api_key` is what the cookie holds. `dialogs` is called once they are needed."""
        assert settings.api_key is not None, "a window has a key"
        self._stage, self._files, self._dialogs, self._key = stage, files, dialogs, settings.api_key
        self._ticket, self._entered = token_urlsafe(32), False
        self._own = self._routes(settings)

    @property
    def entry(self) -> str:
        """The path that the window opens; it works once."""
        return f"{_ENTRY}{self._ticket}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, by the model's app or by the window's own."""
        if scope["type"] == "http" and scope["path"].startswith(_ENTRY):
            await self._enter(scope["path"])(scope, receive, send)
            return
        own = scope["type"] != "http" or scope["path"].startswith("/window/") or self._stage.app is None
        app = self._own if own or self._stage.app is None else self._stage.app
        await app(self._with_key(scope) if scope["type"] == "http" else scope, receive, send)

    def _enter(self, path: str) -> Response:
        right = hmac.compare_digest(path.removeprefix(_ENTRY).encode(), self._ticket.encode())
        if self._entered or not right:  # a wrong one, of whatever process, takes nothing away from the window
            return PlainTextResponse("This address worked once, for the window.\n", 403)
        self._entered = True
        response = RedirectResponse("/?window", 303, headers={"cache-control": "no-store"})
        response.set_cookie(_COOKIE, self._key, httponly=True, samesite="strict", path="/")
        return response

    def _with_key(self, scope: Scope) -> Scope:
        """The request with the key where its cookie has it: the server's app knows no cookies."""
        try:
            cookie = SimpleCookie(Headers(scope=scope).get("cookie", "")).get(_COOKIE)
        except CookieError:
            cookie = None
        if cookie is None:
            return scope
        return {**scope, "headers": [*scope["headers"], (b"authorization", f"Bearer {cookie.value}".encode())]}

    def _routes(self, settings: ServerSettings) -> Starlette:
        routes = [
            Route("/window/state", self._state),
            Route("/window/open", self._open, methods=["POST"]),
            Route("/window/back", self._back, methods=["POST"]),
            Route("/window/save", self._save, methods=["POST"]),
            Route("/window/conversations", self._all),
            Route("/window/conversations/{name}", self._put, methods=["PUT"]),
            Route("/window/conversations/{name}", self._remove, methods=["DELETE"]),
            Route("/window/preferences", self._preferences),
            Route("/window/preferences", self._keep, methods=["PUT"]),
            *page_routes(),
        ]
        handlers: Mapping[Any, Any] = dict.fromkeys((ApiError, HTTPException, ThinkportError, Exception), _told)
        return Starlette(routes=routes, middleware=[Middleware(Guard, settings=settings)], exception_handlers=handlers)

    async def _state(self, _: Request) -> Response:
        return JSONResponse(self._stage.state())

    async def _open(self, request: Request) -> Response:
        folder = (await _body(request)).get("folder")
        if folder is not None and not isinstance(folder, str):
            raise bad("folder is no text, expected a folder's path or null", "folder")
        chosen = await asyncio.to_thread(self._dialogs().folder) if folder is None else Path(folder)
        if chosen is not None:
            self._stage.open(chosen)
        return JSONResponse(self._stage.state())

    async def _back(self, _: Request) -> Response:
        self._stage.back()
        return JSONResponse(self._stage.state())

    async def _save(self, request: Request) -> Response:
        body = await _body(request)
        name, text = body.get("name"), body.get("text")
        if not isinstance(name, str) or not isinstance(text, str):
            raise bad("expected a name and a text")
        path = await asyncio.to_thread(self._dialogs().file, Path(name).name)
        if path is not None:
            await asyncio.to_thread(write_file, path, text)
        return JSONResponse({"written": path is not None})

    async def _all(self, _: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(self._files.all))

    async def _put(self, request: Request) -> Response:
        await asyncio.to_thread(self._files.put, request.path_params["name"], await _body(request))
        return JSONResponse({})

    async def _remove(self, request: Request) -> Response:
        await asyncio.to_thread(self._files.remove, request.path_params["name"])
        return JSONResponse({})

    async def _preferences(self, _: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(self._files.preferences))

    async def _keep(self, request: Request) -> Response:
        await asyncio.to_thread(self._files.keep, await _body(request))
        return JSONResponse({})


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise bad(f"the body is no JSON ({error})") from error
    if not isinstance(body, dict):
        raise bad("the body is no object")
    return body


async def _told(_: Request, error: Exception) -> Response:
    return failure(error).response()

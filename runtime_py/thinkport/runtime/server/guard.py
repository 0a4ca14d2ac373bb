"""Checks each request before the app sees it: its Host and Origin, its key, its size and its pace.

A page on the web may make a browser send requests to this machine, under a name that it lets point here (DNS rebinding)
or from its own origin; both are refused. Knows headers; must not know routes.
"""

import asyncio
import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.interface.page import is_open
from thinkport.runtime.server.settings import ServerSettings

OPEN_PATHS = frozenset({"/health", "/openapi.json"})  # beside the page's files
_SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_SHARED = {"vary": "Origin", "cross-origin-resource-policy": "cross-origin"}  # with pages of an allowed origin
_PREFLIGHT = {"access-control-allow-methods": "GET, POST", "access-control-max-age": "600"}
_EXPOSED = "x-thinkport-reply, x-thinkport-note, retry-after"
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, settings: ServerSettings):
        self._app, self._settings = app, settings
        self._hosts = {"localhost", settings.host.lower(), *(name.lower() for name in settings.allow_hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the app, or answer it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        allowed = origin in self._settings.allow_origins or (origin is not None and self._settings.any_origin)
        sender = _Sender(send, origin if allowed else None, self._settings.write_seconds)
        try:
            self._check(scope, headers, origin, allowed)
        except ApiError as error:
            await error.response()(scope, receive, sender)
            return
        if scope["method"] == "OPTIONS" and allowed:
            await _preflight(headers)(scope, receive, sender)
            return
        await self._app(scope, _Body(receive, headers, self._settings).receive, sender)

    def _check(self, scope: Scope, headers: Headers, origin: str | None, allowed: bool) -> None:
        host = headers.get("host", "")
        if not self._knows(host):
            raise ApiError(403, "this server is not known by that Host: start it with --allow-host NAME to use one")
        if origin is not None and not allowed and _netloc(origin) != host:
            raise ApiError(403, "pages of that origin are not let in: start the server with --allow-origin ORIGIN")
        if headers.get("sec-fetch-site") == "cross-site" and not allowed and not _is_open(scope["path"]):
            raise ApiError(403, "other sites' pages are not let in: start the server with --allow-origin ORIGIN")
        open_path = _is_open(scope["path"]) or scope["method"] == "OPTIONS"
        if self._settings.api_key is not None and not open_path and not self._has_key(headers):
            raise ApiError(401, "no API key, or a wrong one: send it as 'Authorization: Bearer KEY'")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self._settings.max_body:
            raise ApiError(413, f"the request is larger than {self._settings.max_body} bytes")

    def _knows(self, host: str) -> bool:
        """Whether a Host is a known name or an address; DNS can't make an address point elsewhere."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._hosts or ipaddress.ip_address(name) is not None
        except ValueError:
            return False

    def _has_key(self, headers: Headers) -> bool:
        kind, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
        assert self._settings.api_key is not None
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._settings.api_key.encode())


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or is_open(path)


def _preflight(headers: Headers) -> Response:
    """What a page of an allowed origin may send: any header that it names, such as those of OpenAI's client."""
    named = headers.get("access-control-request-headers", "authorization, content-type, x-api-key")
    allowed = {**_PREFLIGHT, "access-control-allow-headers": named}
    return Response(status_code=204, headers=allowed)


def _netloc(origin: str) -> str | None:
    """The host and port of an origin; None of what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


class _Body:
    """A request's body, within the limits of size and time."""

    def __init__(self, receive: Receive, headers: Headers, settings: ServerSettings):
        self._receive, self._left, self._seconds = receive, settings.max_body, settings.body_seconds
        self._limit, self._whole = settings.max_body, False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._seconds)
        except TimeoutError:
            raise ApiError(408, f"nothing of the request's body came for {self._seconds:g} seconds") from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise ApiError(413, f"the request is larger than {self._limit} bytes")
        self._whole = not message.get("more_body", False)
        return message


class _Sender:
    """Sends a response: adds headers for browsers, and gives up on a client that reads nothing."""

    def __init__(self, send: Send, origin: str | None, seconds: float):
        self._send, self._origin, self._seconds = send, origin, seconds

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("content-type", "").startswith("text/html"):
                headers["content-security-policy"] = POLICY
            headers.update(_SAFE)
            if self._origin is not None:
                headers.update({**_SHARED, "access-control-allow-origin": self._origin})
                headers["access-control-expose-headers"] = _EXPOSED
        try:
            await asyncio.wait_for(self._send(message), self._seconds)
        except TimeoutError:
            raise OSError("the client takes nothing any more") from None  # as if it had hung up

"""One connection of a client: what uvicorn leaves open for ever is closed, and what it would close too soon is kept.

Knows uvicorn's protocol and sockets; must not know routes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_MOST = 512  # connections; a process may often have 1,024 files
_MOST_OF_A_PEER = 256
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"  # clients pass over any number of them
_FIRST_LOOKS, _LATER_LOOK = 2, 1.0  # the first ones come at once: only the second write after a hang-up fails
_SOON = 0.05  # seconds


class GuardedProtocol(H11Protocol):
    """A connection, within the limits of time and number.

    It is closed unless a request's head is whole `header_seconds` after its first bytes: uvicorn closes one that is
    idle between requests, but not one that sends a byte of a head now and then. Where there are too many, of all peers
    or of one, the one that is idle longest makes room, so that a client with a request never waits for others without.

    A client that has nothing more to send may close its half and gets its whole reply. Whether it closed the other half
    too, only writing tells: until its response begins, it is sent `100 Continue` now and then.
    """

    header_seconds = 10.0
    most, most_of_a_peer = _MOST, _MOST_OF_A_PEER
    _deadline: asyncio.TimerHandle | None = None
    _look: asyncio.TimerHandle | None = None
    idle_since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Make room, and start the deadline of the first request's head."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._wait()
        all_of_them: list[Any] = list(self.connections)
        peer = [one for one in all_of_them if self.client and one.client and one.client[0] == self.client[0]]
        for many, limit in ((peer, self.most_of_a_peer), (all_of_them, self.most)):
            if len(many) > limit:
                self._make_room(many)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first bytes of a head start its deadline."""
        if self._deadline is None and self.idle:
            self._wait()
        super().data_received(data)

    def handle_events(self) -> None:
        """Stop the deadline where a new cycle shows that the head is complete."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._end_wait()

    def on_response_complete(self) -> None:
        """The connection is idle from now on."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the other half open for a reply that is under way."""
        if self.idle or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        self._look = self.loop.call_later(_SOON, self._look_again, 1)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline."""
        self._end_wait()
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self.transport.close)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _make_room(self, many: list[Any]) -> None:
        others = [one for one in many if one is not self and one.idle and not one.transport.is_closing()]
        if others:
            min(others, key=lambda one: one.idle_since).transport.close()
        else:
            self.transport.write(_FULL)
            self.transport.close()

    def _look_again(self, number: int) -> None:
        if not self.cycle.response_started and not self.transport.is_closing():
            self.transport.write(_CONTINUE)
            seconds = _SOON if number < _FIRST_LOOKS else _LATER_LOOK
            self._look = self.loop.call_later(seconds, self._look_again, number + 1)


def guarded_protocol(seconds: float, **limits: int) -> type[asyncio.Protocol]:
    """The protocol with so many seconds for a head, and with other limits if they are given."""
    return type("GuardedProtocol", (GuardedProtocol,), {"header_seconds": seconds, **limits})


def uvicorn_options(seconds: float) -> dict[str, Any]:
    """What every server of ours asks of uvicorn: guarded connections, no web sockets, and nothing written by itself."""
    return {
        "http": guarded_protocol(seconds),
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
    }

"""HTTP over a connection whose client has to send the head of a request in time.

uvicorn closes connections that are idle between requests; one that sends a byte now and then would stay for ever.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """A connection that is closed unless a request's head is whole `header_seconds` after its first bytes."""

    header_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and wait for the head that they begin."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        super().data_received(data)

    def handle_events(self) -> None:
        """A head that is whole makes a cycle; then there is no hurry."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._end_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end_wait()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self.transport.close)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def timed_protocol(seconds: float) -> type[asyncio.Protocol]:
    """The protocol with so many seconds for a head."""
    return type("TimedProtocol", (TimedProtocol,), {"header_seconds": seconds})

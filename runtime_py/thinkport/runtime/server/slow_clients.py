"""HTTP over a connection whose client must send the head of a request in time.

uvicorn closes a connection that is idle between requests, but not one that sends a byte of a head now and then.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """A connection that is closed unless a request's head is whole `header_seconds` after its first bytes."""

    header_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the deadline of the first request's head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first bytes of a head start its deadline."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        super().data_received(data)

    def handle_events(self) -> None:
        """Stop the deadline where a new cycle shows that the head is complete."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._end_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline."""
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

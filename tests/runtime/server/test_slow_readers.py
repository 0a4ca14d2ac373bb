"""A client that reads slowly, or not at all: its place is free once its reply is written, and it ends its own alone."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from threading import Event, Timer
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.runtime.server.conftest import Served, running

from thinkport.runtime import Model
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.server.service import ReplyStream

WORDS = 900


@pytest.fixture
def lasting(new_model) -> Model:
    return new_model("hi " * WORDS, context_length=40_000)


@pytest.fixture
def one_place(lasting: Model) -> Iterator[Served]:
    with running(lasting, send_buffer=1 << 16, max_rows=1, write_seconds=60.0) as served:
        yield served


def asked(text: str, **more) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}], **more}).encode()


def ask_and_read_nothing(port: int) -> socket.socket:
    """A stream that is asked for, of more than the socket's buffers hold, and not read."""
    body = asked("A", stream=True, logprobs=True, top_logprobs=20)
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    reader.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return reader


def test_a_reader_that_hangs_up_after_its_reply_was_written_leaves_the_next_reply_alone(
    one_place: Served, lasting: Model
) -> None:
    places, inner, begun, gone = one_place.service.jobs.places, lasting.session.next_id, Event(), Event()  # type: ignore[attr-defined]
    slow = ask_and_read_nothing(int(one_place.url.rpartition(":")[2]))
    until = monotonic() + 60
    while not places.active and monotonic() < until:
        sleep(0.01)
    assert one_place.idle(60), "the reply is written though nobody reads it"

    def held(ids):
        begun.set()
        assert gone.wait(60)
        return inner(ids)

    lasting.session.next_id = held  # type: ignore[attr-defined]

    def hang_up() -> None:
        assert begun.wait(60)
        slow.close()
        sleep(0.5)  # for the server to notice; it takes part in no verdict but the fault's
        gone.set()

    Timer(0, hang_up).start()
    reply = httpx.post(f"{one_place.url}/v1/chat/completions", content=asked("B"), timeout=120).json()
    assert reply["choices"][0]["message"]["content"] == "hi " * WORDS
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_a_stream_that_breaks_ends_its_job_at_once_and_not_when_it_is_collected() -> None:
    async def frames() -> AsyncIterator[str]:
        yield "data: 1"
        yield "data: 2"

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("the client takes nothing any more")

    async def receive() -> Any:
        await asyncio.sleep(3600)

    async def broken() -> bool:
        job: Any = SimpleNamespace(stop=Stop())
        held = frames()
        with suppress(Exception):  # what the client's end raises is the server's matter
            await ReplyStream(held, "text/event-stream", job, {})(
                {"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send
            )
        return job.stop.cancelled

    assert asyncio.run(broken())

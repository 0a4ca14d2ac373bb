"""One model, many clients: places, the line before them, shared steps, and who hangs up."""

import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Event, Thread
from time import monotonic, sleep
from types import SimpleNamespace
from typing import cast

import httpx
import openai
import pytest
from tests.runtime.server.conftest import Served, running

from thinkport.runtime import InputError, Model, RowSettings, Thinking
from thinkport.runtime.server import ServerSettings, create_app
from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.jobs import Places

# What the reference model never stops saying: it has seen nothing like it.
ENDLESS = {"type": "regex", "pattern": "[0-9]{4000}"}
LONG = {
    "model": "nano",
    "messages": [{"role": "user", "content": "Count."}],
    "response_format": ENDLESS,
    "extra_body": {"enable_thinking": False},
    "stream": True,
}


def begin(served):
    """A long stream, its first piece read."""
    stream = served.client().chat.completions.create(**LONG)
    next(iter(stream))
    return stream


def test_a_client_that_hangs_up_frees_its_place_long_before_its_reply_would_end(serve) -> None:
    served = serve(max_rows=1)
    served.slow_down(0.02)  # the whole reply takes 80 s and more
    (engine,) = served.service.jobs.places._idle
    stream = begin(served)
    assert served.service.jobs.places.active == 1
    stream.close()
    assert served.idle()
    assert len(engine.ids) < 1000


def test_a_client_that_waits_for_the_whole_and_hangs_up_frees_its_place_too(serve) -> None:
    served = serve(max_rows=1)
    served.slow_down(0.02)
    (engine,) = served.service.jobs.places._idle
    with pytest.raises(openai.APITimeoutError):
        served.client(timeout=0.5).chat.completions.create(**{**LONG, "stream": False})
    assert served.idle()
    assert len(engine.ids) < 1000


def test_health_says_how_many_thoughts_a_request_may_ask_for(nano_artifact) -> None:
    for options, most in (({"rows": RowSettings(max_rows=2)}, 2), ({"deterministic": True}, 1)):
        with Model.load(nano_artifact, kernels="off", **options) as model, running(model) as served:
            assert httpx.get(f"{served.url}/health", timeout=60).json()["thinking"]["most_width"] == most
            asked = {"messages": LONG["messages"], "thinking_width": most + 1}
            assert httpx.post(f"{served.url}/v1/chat/completions", json=asked, timeout=60).status_code == 400


def test_a_server_takes_over_the_rows_of_its_model_and_no_more(new_model) -> None:
    model = new_model("one", rows=RowSettings(max_rows=3))
    with running(model) as served:
        assert httpx.get(f"{served.url}/health", timeout=60).json()["max_rows"] == 3
    with pytest.raises(InputError, match=r"max_rows is 4 and the model was loaded for 3 .* leave max_rows out"):
        create_app(model, "nano", ServerSettings(max_rows=4))


@pytest.mark.parametrize(("rows", "widths"), [(2, (3, 9, 65)), (RowSettings().max_rows, (9, 10**9))])
def test_more_thoughts_than_share_a_step_are_refused_in_one_way_wherever_that_shows(serve, rows, widths) -> None:
    served = serve(max_rows=rows)
    assert httpx.get(f"{served.url}/health", timeout=60).json()["thinking"]["most_width"] == rows
    chat: dict[str, object] = {"messages": LONG["messages"], "max_tokens": 9}
    bodies: dict[str, dict[str, object]] = {
        "/v1/chat/completions": chat,
        "/v1/responses": {"input": "Count."},
        "/v1/messages": chat,
        "/v1/messages/count_tokens": chat,
        "/api/chat": {"messages": LONG["messages"]},
    }
    others: tuple[dict[str, object], ...] = (
        {},
        {"temperature": 0},
        {"stream": True},
        {"enable_thinking": True},
        {"thinking_choose": "vote"},
    )
    for (route, body), width, other in product(bodies.items(), widths, others):
        asked = body | other | {"thinking_width": width}
        told = httpx.post(f"{served.url}{route}", json=asked, timeout=60)
        assert (told.status_code, told.json()["error"]) == (
            400,
            {
                "message": f"thinking_width is {width}, expected at most {rows}, the replies that share a step here",
                "type": "invalid_request_error",
                "param": "thinking_width",
                "code": None,
            },
        ), (route, other)


def test_a_server_of_fewer_rows_than_its_model_thinks_thoughts_is_refused_at_its_start(new_model) -> None:
    model = new_model("wide", thinking=Thinking(width=4))
    with pytest.raises(InputError, match=r"max_rows is 2 and the model thinks 4 thoughts .*max_rows=4.*width=2"):
        create_app(model, "nano", ServerSettings(max_rows=2))
    with running(model, max_rows=4) as served:
        asked = {"messages": LONG["messages"], "max_tokens": 40, "seed": 1}
        told = httpx.post(f"{served.url}/v1/chat/completions", json=asked, timeout=60)
        assert told.status_code == 200


def test_past_the_queue_a_client_is_told_when_to_come_back(serve) -> None:
    served = serve(max_rows=1, queue=0)
    stream = begin(served)
    health = httpx.get(f"{served.url}/health", timeout=60).json()
    assert (health["max_rows"], health["active"], health["waiting"]) == (1, 1, 0)
    assert health["wait_seconds"] >= 1
    with pytest.raises(openai.RateLimitError) as told:
        served.client().chat.completions.create(model="nano", messages=LONG["messages"])
    assert int(told.value.response.headers["retry-after"]) >= 1
    stream.close()
    assert served.idle()
    assert served.client().chat.completions.create(model="nano", messages=LONG["messages"], max_tokens=2).choices


def test_those_who_wait_come_when_a_place_is_free(serve) -> None:
    served = serve(max_rows=1, queue=4)
    stream = begin(served)
    with ThreadPoolExecutor(3) as threads:
        ask = {"model": "nano", "messages": LONG["messages"], "max_tokens": 2}
        waiting = [threads.submit(served.client().chat.completions.create, **ask) for _ in range(3)]
        until = monotonic() + 60
        while served.service.jobs.places.waiting < 3 and monotonic() < until:
            sleep(0.01)
        assert served.service.jobs.places.waiting == 3
        stream.close()
        assert all(one.result(120).choices for one in waiting)


@pytest.mark.parametrize("ask", [LONG, {**LONG, "stream": False}], ids=["stream", "whole"])
def test_a_client_that_hangs_up_while_it_waits_leaves_the_line_at_once(serve, ask) -> None:
    served = serve(max_rows=1, queue=4)
    served.slow_down(0.02)
    places, stream = served.service.jobs.places, begin(served)
    with pytest.raises(openai.APITimeoutError):
        served.client(timeout=0.5).chat.completions.create(**ask)
    until = monotonic() + 20
    while places.waiting and monotonic() < until:
        sleep(0.01)
    assert (places.waiting, places.active) == (0, 1)
    stream.close()
    assert served.idle()
    assert 'route="/v1/chat/completions",status="499"' in httpx.get(f"{served.url}/metrics").text


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("route", ["chat/completions", "completions", "responses"])
def test_where_replies_in_progress_hold_the_memory_others_are_told_to_come_back(new_model, route, stream) -> None:
    asked: dict[str, dict] = {
        "chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
        "completions": {"prompt": "hi"},
        "responses": {"input": "hi"},
    }
    fields = asked[route]
    model = new_model("one two three", memory_limit=256 * 8, prefix_cache_bytes=0)
    with running(model, max_rows=2) as served, httpx.Client(base_url=f"{served.url}/v1", timeout=60) as client:
        allowed = served.step_by_step(1)
        ask = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
        with client.stream("POST", "/chat/completions", json=ask) as first:
            while allowed._value:  # its reply holds the memory once it has made its first step
                sleep(0.001)
            told = client.post(f"/{route}", json={**fields, "stream": stream})
            allowed.release(1000)
            assert told.status_code == 503
            assert int(told.headers["retry-after"]) >= 1
            error = told.json()["error"]
            assert "replies in progress hold" in error["message"]
            assert (error["type"], error["code"], error["param"]) == ("server_error", "service_unavailable", None)
            assert list(first.iter_lines())[-2:] == ["data: [DONE]", ""]
        assert client.post(f"/{route}", json={**fields, "stream": stream}).status_code == 200


def test_an_unloaded_model_is_no_fault_of_the_requests(new_model) -> None:
    model = new_model("one two three")
    with running(model) as served, httpx.Client(base_url=f"{served.url}/v1", timeout=60) as client:
        model.unload()
        told = client.post("/completions", json={"prompt": "hi"})
        assert (told.status_code, told.headers["retry-after"]) == (503, "5")
        assert "unloaded" in told.json()["error"]["message"]
        model.reload()
        assert client.post("/completions", json={"prompt": "hi"}).status_code == 200


def test_two_replies_are_written_at_the_same_time(serve) -> None:
    served = serve(max_rows=2)
    engines = list(served.service.jobs.places._idle)
    streams = begin(served), begin(served)  # nobody reads on: the server writes them all the same
    until = monotonic() + 120
    while not all(engine.ids for engine in engines):  # a first piece is sent before the prompt has run
        assert monotonic() < until
        sleep(0.001)
    before = [len(engine.ids) for engine in engines]
    while max(len(engine.ids) - held for engine, held in zip(engines, before, strict=True)) < 100:
        assert monotonic() < until
        sleep(0.001)
    written = [len(engine.ids) - held for engine, held in zip(engines, before, strict=True)]
    assert min(written) > 10
    figures = httpx.get(f"{served.url}/metrics", timeout=60).text
    counts = dict(line.rsplit(" ", 1) for line in figures.splitlines() if line.startswith("thinkport_"))
    assert float(counts["thinkport_shared_step_rows_total"]) >= 2 * float(counts["thinkport_shared_steps_total"]) > 0
    assert float(counts["thinkport_kv_cache_bytes"]) > 0
    for stream in streams:
        stream.close()


def test_stop_thinking_closes_the_thought_of_a_stream(serve) -> None:
    served = serve(max_rows=1)
    step = served.step_by_step(12)  # the reference model thinks faster than anybody can click
    ask = {"model": "nano", "messages": [{"role": "user", "content": "What is 86*57?"}], "stream": True}
    stream = served.client().chat.completions.create(**ask, extra_body={"enable_thinking": True}, seed=1)
    for count, chunk in enumerate(stream):
        if count == 3:
            served.client().post(f"/chat/completions/{chunk.id}/stop_thinking", cast_to=object)
            step.release(1000)
    assert chunk.choices[0].thinking["end"] == "user"
    assert chunk.choices[0].thinking["tokens"] < 30
    with pytest.raises(openai.NotFoundError):
        served.client().post("/chat/completions/no-such/stop_thinking", cast_to=object)


def test_a_reply_goes_to_the_place_that_knows_its_start(nano_model) -> None:
    async def run() -> None:
        places = Places(nano_model, 3, 0)
        engines = [await places.take([]) for _ in range(3)]
        engines[1].prefill([1, 2, 3, 4])
        for engine in engines:
            places.give_back(engine, 1.0)
        assert await places.take([1, 2, 3, 9]) is engines[1]
        places.close()
        with pytest.raises(ApiError, match="ending"):
            await places.take([])

    asyncio.run(run())


def test_one_that_gives_up_waiting_leaves_its_turn_to_the_next(nano_model) -> None:
    async def run() -> None:
        places = Places(nano_model, 1, 5)
        engine = await places.take([])
        first, second = (asyncio.create_task(places.take([])) for _ in range(2))
        await asyncio.sleep(0)
        places.give_back(engine, 1.0)  # it is the first one's turn, which gives up before it hears of it
        first.cancel()
        assert await asyncio.wait_for(second, 60) is engine
        assert not places.waiting

    asyncio.run(run())


def test_a_request_of_several_rows_is_told_its_wait_and_goes_before_later_ones(nano_model) -> None:
    async def run() -> None:
        places = Places(nano_model, 4, 2)
        engines = [await places.take([]) for _ in range(3)]
        assert places.wait_seconds == 0
        wide, narrow = asyncio.create_task(places.take([], 3)), asyncio.create_task(places.take([]))
        await asyncio.sleep(0)
        assert (places.waiting, places.active) == (2, 3)
        assert places.wait_seconds == 7, "5 s a reply; a row more, after four that wait, of four at a time"
        with pytest.raises(ApiError, match="try again in about 10 seconds") as told:
            await places.take([], 4)
        assert told.value.headers == {"retry-after": "10"}
        places.give_back(engines[0], 5.0)
        await asyncio.sleep(0)
        assert not narrow.done(), "there is a row for it, but another request came before"
        places.give_back(engines[1], 5.0)
        engine = await wide
        assert (places.waiting, places.active) == (1, 4)
        places.give_back(engine, 5.0, 3)
        await narrow
        assert (places.waiting, places.active) == (0, 2)

        full = Places(nano_model, 4, 0)
        await full.take([])
        with pytest.raises(ApiError, match="in about 5 seconds"):  # where a single row would not wait
            await full.take([], 4)

    asyncio.run(run())


def test_nobody_takes_a_place_while_the_graph_changes_for_one_that_gave_up() -> None:
    begun, go, done = Event(), Event(), Event()

    def refresh() -> None:
        begun.set()
        assert go.wait(60)
        done.set()

    model = SimpleNamespace(engine=lambda: SimpleNamespace(ids=[]), stale=True, refresh=refresh)

    async def run() -> None:
        places = Places(cast("Model", model), 2, 5)
        first = asyncio.create_task(places.take([]))
        assert await asyncio.to_thread(begun.wait, 60)
        second = asyncio.create_task(places.take([]))
        for _ in range(3):
            first.cancel()
            await asyncio.sleep(0.01)
        assert not second.done()
        model.stale = False
        go.set()
        await asyncio.wait_for(second, 60)
        assert done.is_set()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert places.active == 1, "the one that gave up has none"

    asyncio.run(run())


def test_replies_in_progress_end_cleanly_when_the_server_does(serve) -> None:
    served = serve(max_rows=1)
    stream = begin(served)
    chunks: list = []
    reader = Thread(target=lambda: chunks.extend(stream))
    reader.start()
    asyncio.run_coroutine_threadsafe(served.service.jobs.end(0.2), served.loop).result(120)
    reader.join(120)
    assert chunks[-1].choices[0].finish_reason == "length"
    assert chunks[-1].choices[0].thinking["answer_end"] == "cancelled"
    with pytest.raises(openai.InternalServerError, match="ending"):
        served.client().chat.completions.create(model="nano", messages=LONG["messages"])


def test_one_that_gives_up_before_a_place_is_given_back_leaves_it_to_the_next(nano_model) -> None:
    async def run() -> None:
        places = Places(nano_model, 1, 5)
        engine = await places.take([])
        first, second = (asyncio.create_task(places.take([])) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()  # its future is cancelled at once, and it leaves the line only when it runs
        places.give_back(engine, 1.0)
        assert await asyncio.wait_for(second, 60) is engine
        assert not places.waiting

    asyncio.run(run())


def connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), timeout=60)


def request(**fields) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": "What is 2*3?"}], **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_closes_its_half_after_its_request_gets_its_whole_reply(served, stream) -> None:
    with connected(served) as connection:
        connection.sendall(request(stream=stream))
        connection.shutdown(socket.SHUT_WR)
        answer = everything(connection)
    assert b"HTTP/1.1 200 OK" in answer
    assert (b"data: [DONE]" in answer) if stream else (b'"finish_reason"' in answer)


def test_a_client_that_closed_its_half_and_then_hangs_up_frees_its_place(serve) -> None:
    served = serve(max_rows=1)
    allowed = served.step_by_step(2)
    with connected(served) as connection:
        connection.sendall(request(response_format=ENDLESS, enable_thinking=False))
        connection.shutdown(socket.SHUT_WR)
        while allowed._value:
            sleep(0.001)
    (job,) = served.service.jobs._running.values()
    until = monotonic() + 60
    while not job.stop.cancelled and monotonic() < until:
        sleep(0.01)
    assert job.stop.cancelled
    allowed.release(1000)
    assert served.idle()


def test_a_request_is_taken_beside_hundreds_of_connections_without_one(served) -> None:
    idle: list[socket.socket] = []
    try:
        idle += [connected(served) for _ in range(600)]  # a process may often have 1,024 files
        assert httpx.get(f"{served.url}/health", timeout=60).status_code == 200
        assert idle[0].recv(1) == b"", "the one that was idle longest made room"
    finally:
        for connection in idle:
            connection.close()

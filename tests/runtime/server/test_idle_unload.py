"""A model that nobody asks anything is unloaded, and loaded again at the next request."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from thinkport.runtime import InputError, Model
from thinkport.runtime.server import ServerSettings
from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.jobs import Places
from thinkport.runtime.terminal.serve_program import run_serve
from thinkport.runtime.thinking.thinking import Thinking

ASK = {"messages": [{"role": "user", "content": "What is 3*4?"}], "temperature": 0, "enable_thinking": False}


@pytest.fixture
def model(nano_artifact: Path) -> Iterator[Model]:
    with Model.load(nano_artifact, kernels="off") as loaded:
        yield loaded


def wait_until(holds, seconds: float = 120) -> None:
    until = monotonic() + seconds
    while not holds():
        assert monotonic() < until
        sleep(0.02)


def ask(url: str) -> str:
    reply = httpx.post(f"{url}/v1/chat/completions", json=ASK, timeout=120)
    assert reply.status_code == 200, reply.text
    return reply.json()["choices"][0]["message"]["content"]


def test_an_idle_model_is_unloaded_and_the_next_request_has_the_same_reply(model: Model, serving) -> None:
    with serving(model, idle_seconds=0.5) as served:
        first = ask(served.url)
        wait_until(lambda: not model.loaded)
        health = httpx.get(f"{served.url}/health")
        assert (health.status_code, health.json()["status"], health.json()["loaded"]) == (200, "ok", False)
        assert httpx.get(f"{served.url}/v1/models").json()["data"][0]["max_model_len"] == 8192
        assert httpx.post(f"{served.url}/tokenize", json={"prompt": "3*4"}).json()["count"] > 0
        assert not model.loaded, "what needs no graph loads none"
        assert ask(served.url) == first
        assert httpx.get(f"{served.url}/health").json()["loaded"]


def test_requests_that_come_at_once_to_an_unloaded_model_are_all_answered(model: Model, serving) -> None:
    with serving(model, idle_seconds=0.5, max_rows=2) as served:
        wait_until(lambda: not model.loaded)
        answers: list[str] = []
        threads = [Thread(target=lambda: answers.append(ask(served.url))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 6
        assert len(set(answers)) == 1


def test_a_reply_that_takes_longer_than_that_is_not_ended(model: Model, serving) -> None:
    with serving(model, idle_seconds=0.2) as served:
        served.slow_down(0.05)
        reply = httpx.post(f"{served.url}/v1/chat/completions", json=ASK | {"enable_thinking": True}, timeout=120)
        assert reply.status_code == 200
        assert reply.json()["choices"][0]["thinking"]["tokens"] > 10


def test_a_request_that_waits_for_its_graph_while_the_server_ends_gets_no_place(new_model) -> None:
    async def run() -> None:
        places = Places(new_model(), 1, 0)
        places.asleep = True
        taking = asyncio.ensure_future(places.take([1]))
        await asyncio.sleep(0)  # it begins to load
        places.close()
        with pytest.raises(ApiError, match="the server is ending"):
            await taking
        assert places.active == 0

    asyncio.run(run())


def test_a_model_that_its_owner_unloaded_stops_nothing_else(model: Model) -> None:
    async def run() -> None:
        places = Places(model, 1, 0)
        model.unload()
        with pytest.raises(TimeoutError):  # and not a loop that lets nobody else run
            await asyncio.wait_for(places.unload_after(0.01), 0.2)
        assert not places.asleep

    asyncio.run(run())


def test_a_model_that_can_not_be_unloaded_is_told_of_and_tried_again(new_model, caplog) -> None:
    model, tries = new_model("hi"), 0

    def unload() -> None:
        nonlocal tries
        tries += 1
        raise OSError("no more threads")

    model.unload = unload

    async def run() -> None:
        places = Places(model, 1, 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(places.unload_after(0.01), 0.5)
        assert not places.asleep
        await places.take([1])

    asyncio.run(run())
    assert tries > 1
    assert "can't be unloaded, which is tried again later: no more threads" in caplog.text


def test_without_the_setting_a_model_stays(model: Model, serving) -> None:
    with serving(model) as served:
        ask(served.url)
        sleep(0.5)
        assert model.loaded


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_that_is_none_is_refused(seconds: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="idle_seconds"):
        ServerSettings(idle_seconds=seconds)
    options: dict[str, Any] = {"running": {}, "thinking": Thinking(), "sidecar": False}
    options |= {"name": None, "memory_limit": None, "max_rows": 8, "prompt_share": 0.5, "grace": 10.0}
    lists: dict[str, Any] = {"allow_hosts": None, "allow_origins": None, "port": 0, "api_key": None}
    with pytest.raises(InputError, match="--idle-unload is"):
        run_serve(tmp_path, idle_unload=seconds, **options, **lists)

"""A reply that fails keeps nothing alive: the last reference frees its KV cache, without the cycle collector."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import enumerate as threads
from typing import Any

import pytest

from thinkport.runtime import ArtifactError, InputError, Model, Sampler, SamplingSettings

GREEDY = {"temperature": 0}


@pytest.fixture
def failing(new_model) -> Iterator[tuple[Model, list]]:
    """A model whose third step fails, and weak references to the lanes that it opens; nothing collects cycles."""
    model, lanes = new_model(), []
    open_lane, steps = model.session.open_lane, iter(range(1000))

    def opened(batch: int = 1) -> Any:
        lane = open_lane(batch)
        lanes.append(weakref.ref(lane))
        return lane

    def next_id(ids: list[int]) -> int:
        if next(steps) >= 2:
            raise ArtifactError("cpu.onnx failed in a step")
        return 65

    model.session.open_lane, model.session.next_id = opened, next_id
    gc.collect()
    gc.disable()
    yield model, lanes
    gc.enable()


def a_reply(model: Model) -> None:
    reply = model.stream("hi", sampling=GREEDY)
    with pytest.raises(ArtifactError):
        reply.end()


def a_generation(model: Model) -> None:
    engine = model.engine()
    with pytest.raises(ArtifactError):
        list(engine.generate([1, 2, 3], Sampler(SamplingSettings(temperature=0))))


def a_turn(model: Model) -> None:
    chat = model.chat()
    turn = chat.start("hi", sampling=GREEDY)
    with pytest.raises(ArtifactError):
        turn.result(60)
    del turn


def a_turn_that_nobody_asks(model: Model) -> None:
    assert model.chat().start("hi", sampling=GREEDY).wait(60)


def a_turn_whose_callback_fails(model: Model) -> None:
    def on_event(event: object) -> None:
        raise InputError("a window that is gone")

    turn = model.chat().start("hi", sampling=GREEDY, on_event=on_event)
    with suppress(InputError, ArtifactError):
        turn.result(60)


def events_for_a_loop(model: Model) -> None:
    async def read() -> None:
        with pytest.raises(ArtifactError):
            async for _ in model.chat().astream("hi", sampling=GREEDY):
                pass

    asyncio.run(read())


def a_history_that_settles(model: Model) -> None:
    chat = model.chat()
    chat.messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "on and on and on"}]
    with pytest.raises(ArtifactError):
        chat.settle()


@pytest.mark.parametrize(
    "fail",
    [
        a_reply,
        a_generation,
        a_turn,
        a_turn_that_nobody_asks,
        a_turn_whose_callback_fails,
        events_for_a_loop,
        a_history_that_settles,
    ],
)
def test_its_kv_cache_is_freed_at_once(failing, fail: Callable[[Model], None]) -> None:
    model, lanes = failing
    fail(model)
    for thread in threads():
        if thread.name == "thinkport-work":
            thread.join(60)
    assert lanes
    assert [lane() for lane in lanes] == [None] * len(lanes)


def test_an_error_that_is_kept_keeps_no_kv_cache(failing) -> None:
    model, lanes = failing
    turn = model.chat().start("hi", sampling=GREEDY)
    turn._thread.join(60)
    error = turn.error
    assert isinstance(error, ArtifactError)
    assert [lane() for lane in lanes] == [None] * len(lanes)
    assert error.__traceback__, "where it came from can still be printed"

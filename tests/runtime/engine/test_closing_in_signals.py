"""A signal handler may close a model wherever the main thread is: it never waits for what that thread itself holds."""

import signal
from collections.abc import Callable, Iterator
from threading import Event, Thread
from time import sleep
from typing import Any

import numpy as np
import pytest
from tests.runtime.engine.sharing import share

from thinkport.runtime import InputError
from thinkport.runtime.engine.kv_cache import KvSnapshot
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.scheduler import ScheduledLane

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
GREEDY = {"temperature": 0}
STEP = 256 * 8  # bytes that a made-up conversation of up to 256 tokens takes
SECONDS = 20


@pytest.fixture
def closing() -> Iterator[Callable[[Any], Callable[[], None]]]:
    """`closing(model)` gives what closes the model by a signal, once; a wait of 20 seconds fails the test."""

    def late(*_) -> None:
        raise AssertionError(f"the handler that closes a model waits for {SECONDS} seconds: a deadlock")

    kept = [(number, signal.getsignal(number)) for number in (signal.SIGALRM, signal.SIGUSR1)]
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)

    def of(model) -> Callable[[], None]:
        signal.signal(signal.SIGUSR1, lambda *_: model.close())

        def close() -> None:
            if model.loaded:
                signal.raise_signal(signal.SIGUSR1)
            for _ in range(100):  # a handler runs between two instructions of the main thread
                pass

        return close

    yield of
    signal.alarm(0)
    for number, handler in kept:
        signal.signal(number, handler)


def greedy() -> Sampler:
    return Sampler(SamplingSettings(temperature=0))


def test_within_an_eviction(new_model, closing) -> None:
    model = new_model("hi", memory_limit=STEP, prefix_cache_bytes=0)
    opened, close = model.session.open_lane, closing(model)

    class Lane:
        """A lane that closes the model when it is freed."""

        def __init__(self, lane: Any):
            self._lane = lane

        def __getattr__(self, name: str) -> Any:
            return getattr(self._lane, name)

        def __del__(self) -> None:
            close()

    model.session.open_lane = lambda batch=1: Lane(opened(batch))
    first, second = model.engine(), model.engine()
    first.prefill([1, 2, 3])
    with pytest.raises(InputError, match="closed"):
        list(second.generate([4, 5], greedy(), max_tokens=2))
    assert not model.loaded


def test_within_a_start_that_becomes_shared(new_model, closing) -> None:
    model = new_model("hi")
    close = closing(model)

    class Snapshot(KvSnapshot):
        """A snapshot that closes the model when it is weighed among those that are kept."""

        @property
        def nbytes(self) -> int:
            close()
            return super().nbytes

        def owned(self) -> KvSnapshot:
            return self

    part = np.zeros((1, 1, 20, 1), np.float32)
    model._prefixes.put(list(range(20)), Snapshot(parts=(part, part)))
    model._prefixes.put(list(range(20, 40)), Snapshot(parts=(part, part)))
    assert not model.loaded


@pytest.mark.parametrize("within", ["reload", "unload"])
def test_while_a_graph_comes_or_goes(new_model, closing, within) -> None:
    model = new_model("hi")
    close = closing(model)
    engine = model.engine()
    engine.prefill([1, 2, 3])
    if within == "reload":
        model.unload()
        reload = model._source.reload

        def reloaded() -> Any:
            model._session = reload().session  # so that the handler finds a loaded model
            close()
            return reload()

        model._source.reload = reloaded
        with pytest.raises(InputError, match="closed"):
            model.reload()
    else:

        class Lane:
            length, batch = 3, 1

            def __del__(self) -> None:
                model._session = model._session or model
                signal.raise_signal(signal.SIGUSR1)

        engine._uses.held.lane = Lane()
        model.unload()
    assert not model.loaded
    for use in (model.reload, model.unload, model.chat):
        with pytest.raises(InputError, match="closed"):
            use()


def test_within_a_step_that_others_wait_for(new_model, closing) -> None:
    model, entered = new_model(), Event()
    share(model.session)
    close = closing(model)
    first, second = model.engine(), model.engine()
    inner = model.session.next_id

    def next_id(ids: list[int]) -> int:
        if ids == [1, 1]:
            other.start()
            assert entered.wait(10)
            while not model.session.scheduler._waiting:
                pass
            close()
        return inner(ids)

    def wait_for_its_step() -> None:
        entered.set()
        with pytest.raises(InputError, match="closed"):
            second.prefill([2, 2])
        ended.set()

    ended = Event()
    other = Thread(target=wait_for_its_step)
    model.session.next_id = next_id
    with pytest.raises(InputError, match="closed"):
        list(first.generate([1, 1], greedy(), max_tokens=2))
    other.join(10)
    assert ended.is_set()


def test_within_a_step_while_another_reply_is_on_its_way_to_its_own(new_model, closing) -> None:
    model, entered, ended = new_model(), Event(), Event()
    share(model.session)
    close, inner, opened = closing(model), model.session.next_id, model.session.open_lane
    first, second = model.engine(), model.engine()

    class Late:
        """A lane whose step comes to the scheduler after the model began to close."""

        def __init__(self, lane: Any):
            self._lane = lane

        def __getattr__(self, name: str) -> Any:
            return getattr(self._lane, name)

        def step(self, *args: Any, **kwargs: Any) -> Any:
            entered.set()
            while model.loaded:
                sleep(0.001)
            sleep(0.1)
            return self._lane.step(*args, **kwargs)

    ScheduledLane.register(Late)

    def next_id(ids: list[int]) -> int:
        if ids == [1, 1]:
            model.session.open_lane = lambda batch=1: Late(opened(batch))
            other.start()
            assert entered.wait(10)
            close()
        return inner(ids)

    def prefill() -> None:
        with pytest.raises(InputError, match="closed"):
            second.prefill([2, 2])
        ended.set()

    other = Thread(target=prefill)
    model.session.next_id = next_id
    with pytest.raises(InputError, match="closed"):
        list(first.generate([1, 1], greedy(), max_tokens=2))
    other.join(10)
    assert ended.is_set()

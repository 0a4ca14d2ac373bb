"""A full KV memory pauses the youngest reply, which goes on later with the same ids; none ends in an error."""

from threading import Event, Thread
from typing import Any

import pytest
from tests.runtime.conftest import FakeLane
from tests.runtime.engine.sharing import share

from thinkport.runtime import InputError
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.kv_uses import KvPool
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.stop import Stop

STEP = 256 * 8  # bytes that a made-up conversation of up to 256 tokens takes
LONG = 300  # tokens of a reply that outgrows it


def generate(engine: Engine, prompt: list[int], **options):
    settings = SamplingSettings(temperature=1.0)
    return engine.generate(prompt, Sampler(settings, seed=5), **{"max_tokens": LONG, **options})


def ids(tokens) -> list[int | None]:
    return [token.id for token in tokens]


def test_replies_that_outgrow_the_memory_together_all_end_with_the_ids_they_have_alone(new_session) -> None:
    prompts = [[number, 2, 3] for number in range(1, 6)]
    expected = [ids(generate(Engine(new_session()), prompt)) for prompt in prompts]
    session = new_session()
    share(session)
    memory = KvPool(5 * STEP)  # each of the five needs two STEPs in the end
    found: list[object] = [None] * 5

    def reply(number: int) -> None:
        try:
            found[number] = ids(generate(Engine(session, memory=memory), prompts[number]))
        except Exception as error:
            found[number] = error

    threads = [Thread(target=reply, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == expected
    assert max(session.steps) == 8, "what a paused reply lost is run again as a prompt"


def test_the_youngest_is_paused_and_the_oldest_goes_on(new_session) -> None:
    session = new_session()
    memory = KvPool(2 * STEP)
    first, second = Engine(session, memory=memory), Engine(session, memory=memory)
    older, younger = generate(first, [1, 2, 3]), generate(second, [4, 5, 6])
    came = [next(younger) for _ in range(3)]
    assert (len(ids(older)), second.ids) == (LONG, []), "it began first, though it ran later"
    assert ids(came) + ids(younger) == ids(generate(Engine(new_session()), [4, 5, 6]))


def test_a_reply_whose_reader_is_away_makes_room_for_one_that_is_read(new_session) -> None:
    memory = KvPool(2 * STEP)
    first, second = (Engine(new_session(), memory=memory) for _ in range(2))
    older = generate(first, [1, 2, 3])
    came = [next(older)]
    assert ids(generate(second, [4, 5, 6])) == ids(generate(Engine(new_session()), [4, 5, 6]))
    assert ids(came) + ids(older) == ids(generate(Engine(new_session()), [1, 2, 3]))


def test_a_reply_that_is_paused_while_it_draws_draws_from_its_own_logits(new_session) -> None:
    written: list[Any] = []

    class Lane(FakeLane):
        def step(self, ids, lengths=None, keep=1):
            written[:] = [super().step(ids, lengths, keep)]
            return written[0]

    def watch(row, _: int) -> None:
        assert engine._uses.pause()
        written[0].fill(0)  # as a shared step of others may do once this lane is gone
        largest.append(float(row.max()))

    session = new_session()
    largest: list[float] = []
    session.open_lane = lambda batch=1: Lane(session, batch)
    engine = Engine(session, memory=KvPool(2 * STEP))
    sampler = Sampler(SamplingSettings(temperature=1.0), seed=5, watch=watch)
    found = ids(engine.generate([1, 2, 3], sampler, max_tokens=4))
    assert found == ids(generate(Engine(new_session()), [1, 2, 3], max_tokens=4))
    assert largest == [9.0] * 4


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_paused_reply_can_be_ended(new_session, how) -> None:
    session, memory, began = new_session(), KvPool(2 * STEP), Event()
    first, second, stop = Engine(session, memory=memory), Engine(session, memory=memory), Stop()
    older = generate(first, [1, 2, 3], max_tokens=400)
    younger = generate(second, [4, 5, 6], stop=stop)
    next(younger)
    for _ in range(260):
        next(older)
    assert second.ids == []
    older._loop.use.left_at = None  # its reader stays, and its reply goes on
    ended: list[Any] = []

    def read() -> None:
        began.set()
        try:
            ended.extend(younger)
        except InputError as error:
            ended.append(error)

    thread = Thread(target=read)
    thread.start()
    assert began.wait(10)
    stop.cancel() if how == "cancel" else second.close()
    thread.join(20)
    assert not thread.is_alive()
    assert str(ended[-1]).startswith("the model is closed") if how == "close" else ended[-1].finish == "cancelled"
    assert len(list(older)) == 140

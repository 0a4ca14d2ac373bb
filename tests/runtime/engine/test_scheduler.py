"""Steps of several rows: who waits for whom, pieces of prompts between them, and errors that touch one row only."""

import signal
from threading import Barrier, Event, Thread, get_ident
from time import sleep
from typing import Any

import numpy as np
import pytest
from tests.runtime.conftest import mixed
from tests.runtime.engine.sharing import share

from thinkport.runtime import InputError
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.stop import Stop


def greedy(**options) -> Sampler:
    return Sampler(SamplingSettings(temperature=0), **options)


def all_at_once(*work) -> list[Any]:
    """What each of some functions returns or raises, each in a thread; they begin together."""
    found: list[Any] = [None] * len(work)
    together = Barrier(len(work))

    def run(number: int) -> None:
        together.wait()
        try:
            found[number] = work[number]()
        except Exception as error:
            found[number] = error

    threads = [Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return found


def reply(session, prompt, **options):
    engine = Engine(session)
    chosen = {"max_tokens": 40, **options}
    sampler = chosen.pop("sampler", None) or greedy()
    return lambda: [token.id for token in engine.generate(prompt, sampler, **chosen)]


def step(lane, *ids: int):
    return lane.step(np.array([ids], np.int64))


def test_replies_of_many_threads_share_steps_and_say_what_they_say_alone(new_session) -> None:
    prompts = [[number, *range(number)] for number in range(1, 13)]
    expected = [reply(new_session(), prompt, max_tokens=10 + prompt[0])() for prompt in prompts]
    session = new_session()
    together = share(session, RowSettings(max_rows=5))
    found = all_at_once(*(reply(session, prompt, max_tokens=10 + prompt[0]) for prompt in prompts))
    assert found == expected
    assert 2 <= max(together.sizes) <= 5
    figures = session.scheduler.figures
    assert (figures.shared_steps, figures.shared_rows) == (len(together.sizes), sum(together.sizes))


def test_with_one_row_replies_take_turns(new_session) -> None:
    session = new_session()
    together = share(session, RowSettings(max_rows=1))
    found = all_at_once(*(reply(session, [number]) for number in range(1, 5)))
    assert found == [reply(new_session(), [number])() for number in range(1, 5)]
    assert together.sizes == []


def test_a_shared_step_that_fails_runs_again_row_by_row_and_one_row_has_the_error(new_session) -> None:
    session = new_session()
    together = share(session)

    def broken(ids: list[int]) -> int:
        if ids[0] == 2 and len(ids) > 6:
            raise InputError("this row's step fails")
        return mixed(ids)

    session.next_id = broken
    first, second, third = all_at_once(*(reply(session, [number, 9]) for number in (1, 2, 3)))
    assert str(second) == "this row's step fails"
    assert (first, third) == (reply(new_session(), [1, 9])(), reply(new_session(), [3, 9])())
    assert together.sizes


def test_an_exception_in_one_rows_sampler_ends_that_row_alone(new_session) -> None:
    session = new_session()
    share(session)
    drawn = []

    def watch(_, token: int) -> None:
        drawn.append(token)
        if len(drawn) == 5:
            raise InputError("this row's sampler fails")

    found = all_at_once(reply(session, [1]), reply(session, [2], sampler=greedy(watch=watch)), reply(session, [3]))
    assert str(found[1]) == "this row's sampler fails"
    assert (found[0], found[2]) == (reply(new_session(), [1])(), reply(new_session(), [3])())


def test_a_row_that_is_cancelled_leaves_and_the_others_go_on(new_session) -> None:
    session, stop = new_session(), Stop()
    share(session)
    seen: list[int] = []

    def watch(_, token: int) -> None:
        seen.append(token)
        if len(seen) == 5:
            stop.cancel()

    second = reply(session, [2], sampler=greedy(watch=watch), stop=stop)
    found = all_at_once(reply(session, [1]), second, reply(session, [3]))
    assert (found[0], found[2]) == (reply(new_session(), [1])(), reply(new_session(), [3])())
    assert found[1] == [*reply(new_session(), [2])()[:5], None]


def held_up(session, token: int) -> tuple[Event, Event]:
    """Has the step that runs `token` wait; set when it runs, and what lets it go."""
    runs, go, inner = Event(), Event(), session.next_id

    def next_id(ids: list[int]) -> int:
        if ids[-1] == token:
            runs.set()
            assert go.wait(20)
        return inner(ids)

    session.next_id = next_id
    return runs, go


def waiting(session, lane, *ids: int) -> tuple[Thread, list[Any]]:
    """A thread whose step waits for the one that runs, and what it gets."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(int(step(lane, *ids)[0, -1].argmax()))
        except InputError as error:
            found.append(str(error))

    before, thread = len(session.scheduler._waiting), Thread(target=run)
    thread.start()
    while len(session.scheduler._waiting) == before:
        sleep(0.001)
    return thread, found


def test_a_prompt_runs_in_pieces_while_others_are_written(new_session) -> None:
    session = new_session()
    share(session)
    lanes = [session.open_lane() for _ in range(3)]
    for lane in lanes:
        step(lane, 1, 2)
    runs, go = held_up(session, 99)
    session.steps.clear()
    first = Thread(target=step, args=(lanes[0], 99))
    first.start()
    assert runs.wait(20)
    prompt = list(range(64))
    (second, found), (third, later) = waiting(session, lanes[1], 3), waiting(session, lanes[2], *prompt)
    go.set()
    for thread in (first, second, third):
        thread.join(20)
    assert session.steps[:2] == [1, 16], "a row waits, so that a narrow piece runs"
    assert sum(session.steps) == 2 + len(prompt)
    assert (found, later) == ([mixed([1, 2, 3]) % 300], [mixed([1, 2, *prompt]) % 300])
    assert lanes[2].rows == [[1, 2, *prompt]]


def test_the_first_piece_of_a_prompt_is_narrow_too_while_others_are_written(new_session) -> None:
    session = new_session()
    share(session)
    lanes = [session.open_lane() for _ in range(3)]
    for lane in lanes[:2]:
        step(lane, 1, 2)
    runs, go = held_up(session, 99)
    session.steps.clear()
    first = Thread(target=step, args=(lanes[0], 99))
    first.start()
    assert runs.wait(20)
    (second, _), (third, found) = waiting(session, lanes[1], 3), waiting(session, lanes[2], *range(64))
    go.set()
    for thread in (first, second, third):
        thread.join(20)
    assert session.steps[:2] == [1, 16]
    assert found == [mixed(list(range(64))) % 300]


def test_a_piece_that_fails_leaves_the_lane_as_it_was(new_session) -> None:
    session = new_session()
    share(session)
    lanes = [session.open_lane() for _ in range(3)]
    for lane in lanes:
        step(lane, 1, 2)
    runs, go = held_up(session, 99)
    inner = session.next_id

    def broken(ids: list[int]) -> int:
        if ids[-1] == 40:
            raise InputError("this step fails")
        return inner(ids)

    session.next_id = broken
    first = Thread(target=step, args=(lanes[0], 99))
    first.start()
    assert runs.wait(20)
    (second, found), (third, failed) = waiting(session, lanes[1], 3), waiting(session, lanes[2], *range(64))
    go.set()
    for thread in (first, second, third):
        thread.join(20)
    assert (found, failed) == ([mixed([1, 2, 3]) % 300], ["this step fails"])
    assert lanes[2].rows == [[1, 2]]


def test_a_step_that_waits_can_be_ended_from_another_thread(new_session) -> None:
    session = new_session()
    share(session)
    lanes = [session.open_lane() for _ in range(2)]
    for lane in lanes:
        step(lane, 1)
    runs, go = held_up(session, 99)
    first = Thread(target=step, args=(lanes[0], 99))
    first.start()
    assert runs.wait(20)
    second, ended = waiting(session, lanes[1], 2)
    lanes[1].interrupt("the model is closed")
    second.join(20)
    assert ended == ["the model is closed"]
    go.set()
    first.join(20)
    assert [lane.length for lane in lanes] == [2, 1]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_a_step_whose_thread_is_interrupted_while_another_runs_it_leaves_the_lane_as_it_was(new_session) -> None:
    session, main = new_session(), get_ident()
    share(session)
    lanes = [session.open_lane() for _ in range(3)]
    for lane in lanes:
        step(lane, 1)
    runs, go = held_up(session, 99)
    first = Thread(target=step, args=(lanes[0], 99))
    first.start()
    assert runs.wait(20)
    second, found = waiting(session, lanes[1], 98)
    shared, free = held_up(session, 98)

    def interrupt() -> None:
        while len(session.scheduler._waiting) < 2:
            sleep(0.001)
        go.set()
        assert shared.wait(20)
        signal.pthread_kill(main, signal.SIGINT)
        sleep(0.1)
        free.set()

    third = Thread(target=interrupt)
    third.start()
    with pytest.raises(KeyboardInterrupt):
        step(lanes[2], 3)
    assert (lanes[2].length, free.is_set()) == (1, True), "nobody runs it any more"
    for thread in (first, second, third):
        thread.join(20)
    assert (lanes[2].length, found) == (1, [mixed([1, 98]) % 300])
    assert not session.scheduler._waiting


def test_a_row_whose_step_waits_is_one_of_several_however_long_it_waits(new_session, monkeypatch) -> None:
    monkeypatch.setattr("thinkport.runtime.engine.scheduler._ACTIVE", 0.0)
    session = new_session()
    share(session)
    lanes = [session.open_lane() for _ in range(2)]
    for lane in lanes:
        step(lane, 1)
    runs, go = held_up(session, 99)
    first = Thread(target=step, args=(lanes[0], 99))
    first.start()
    assert runs.wait(20)
    assert (lanes[0].crowded, lanes[1].crowded) == (False, True)
    go.set()
    first.join(20)
    assert not lanes[1].crowded


def test_nothing_is_guessed_ahead_while_others_are_written(new_session) -> None:
    session = new_session(lambda ids: (len(ids) % 4) + 1)
    share(session)
    engines = [Engine(session) for _ in range(2)]
    made = [engine.generate([1, 2, 3, 4] * 4, greedy(), max_tokens=200, drafts=True) for engine in engines]
    all_at_once(*(lambda one=one: list(one) for one in made))
    alone = Engine(new_session(session.next_id)).generate([1, 2, 3, 4] * 4, greedy(), max_tokens=200, drafts=True)
    list(alone)
    assert alone.drafted > 0
    assert sum(one.drafted for one in made) < 2 * alone.drafted


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"max_rows": 0}, "max_rows is 0, expected 1"),
        ({"max_rows": 65}, "max_rows is 65"),
        ({"prompt_share": 0.0}, "prompt_share is 0.0, expected 0.05 to 0.95"),
        ({"longest_wait": 0.0}, "longest_wait is 0.0, expected 0.01 to 60 seconds"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, told) -> None:
    with pytest.raises(InputError, match=told):
        RowSettings(**wrong)

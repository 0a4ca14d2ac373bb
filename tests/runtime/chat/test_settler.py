"""Work in the background: it is stopped, waited for, and its errors reach who waits."""

import gc
import subprocess
import sys
import time
from threading import Event, Lock, current_thread

import pytest

from thinkport.runtime.chat.turn import Settler
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError, ThinkportError


class Pieces:
    """Work that goes on piece by piece until it is told to stop, and tells what became of it."""

    def __init__(self):
        self.begun, self.ended, self.thread = Event(), Event(), None

    def __call__(self, stop: Stop) -> None:
        self.thread = current_thread()
        self.begun.set()
        while not stop.cancelled:
            time.sleep(0.001)
        time.sleep(0.02)  # the piece in progress
        self.ended.set()


def failing(stop: Stop) -> None:
    raise InputError("the model is closed: load it again")


def test_work_runs_in_a_thread_of_its_own_and_is_waited_for() -> None:
    seen, settler = [], Settler()
    settler.start(lambda stop: seen.append(current_thread()))
    settler.wait()
    assert seen
    assert seen[0] is not current_thread()


def test_stopping_waits_for_the_piece_in_progress() -> None:
    work, settler = Pieces(), Settler()
    settler.start(work)
    work.begun.wait()
    settler.stop()
    assert work.ended.is_set()


def test_starting_again_stops_the_earlier_work_first() -> None:
    first, second, settler = Pieces(), Event(), Settler()
    settler.start(first)
    settler.start(lambda stop: second.set() if first.ended.is_set() else None)
    settler.wait()
    assert second.is_set()


def test_waiting_raises_the_works_error_once() -> None:
    settler = Settler()
    settler.start(failing)
    with pytest.raises(ThinkportError, match="closed"):
        settler.wait()
    settler.wait()


@pytest.mark.parametrize("end", [Settler.stop, lambda settler: settler.start(lambda stop: None)])
def test_stopping_or_starting_again_drops_the_works_error(end) -> None:
    settler = Settler()
    settler.start(failing)
    end(settler)
    settler.wait()
    assert settler._work is None


def test_a_settler_without_work_has_nothing_to_stop_or_wait_for() -> None:
    settler = Settler()
    settler.stop()
    settler.wait()
    assert settler._work is None


def test_a_dropped_settler_ends_its_work() -> None:
    work, settler = Pieces(), Settler()
    settler.start(work)
    del settler
    gc.collect()
    assert work.ended.wait(60)


def test_a_settler_is_collected_within_a_lock_that_its_work_wants() -> None:
    lock, begun, settler = Lock(), Event(), Settler()
    ended = Event()

    def work(stop: Stop) -> None:
        begun.set()
        while not stop.cancelled:
            time.sleep(0.001)
        if lock.acquire(timeout=20):
            ended.set()

    settler.start(work)
    assert begun.wait(60)
    with lock:  # where the collector may run
        began = time.monotonic()
        del settler
        gc.collect()
        assert time.monotonic() - began < 10, "the collector waited for the work"
    assert ended.wait(60)


def test_work_may_hold_the_last_reference_to_its_settler() -> None:
    settler, go = Settler(), Event()
    owner, threads = [settler], []

    def work(stop: Stop) -> None:
        threads.append(current_thread())
        go.wait()
        owner.clear()

    settler.start(work)
    del settler
    go.set()
    while not threads:
        pass
    threads[0].join()
    assert not owner


def test_a_program_that_ends_stops_the_work_in_progress() -> None:
    program = (
        "import time\n"
        "from thinkport.runtime.chat.turn import Settler\n"
        "def work(stop):\n"
        "    while not stop.cancelled:\n"
        "        time.sleep(0.001)\n"
        "    print('stopped', flush=True)\n"
        "settler = Settler()\n"
        "settler.start(work)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped\n", "")

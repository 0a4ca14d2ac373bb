"""Ctrl-C goes a step further each time."""

import os
import signal
import sys

import pytest

from thinkport.runtime.terminal.interrupts import Press, Presses, interrupting, pressing

sends_signals = pytest.mark.skipif(sys.platform == "win32", reason="os.kill can't send a Ctrl-C to itself on Windows")


def test_presses_end_the_thought_then_the_turn_then_the_program() -> None:
    presses = Presses()
    assert [presses.next(thought_open=True) for _ in range(3)] == [Press.STOP_THINKING, Press.CANCEL, Press.LEAVE]


def test_without_a_thought_the_first_press_ends_the_turn() -> None:
    presses = Presses()
    assert [presses.next(thought_open=False) for _ in range(2)] == [Press.CANCEL, Press.LEAVE]


@sends_signals
def test_a_third_ctrl_c_interrupts_and_the_handler_before_is_back() -> None:
    acted: list[Press] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), pressing(acted.append, lambda: True):  # noqa: PT012
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
    assert acted == [Press.STOP_THINKING, Press.CANCEL]
    assert signal.getsignal(signal.SIGINT) is before


@sends_signals
def test_generate_cancels_on_the_first() -> None:
    cancelled = []
    with interrupting(lambda: cancelled.append(True)):
        os.kill(os.getpid(), signal.SIGINT)
    assert cancelled == [True]

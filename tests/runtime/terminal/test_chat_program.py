"""The loop between prompt and replies, on a fake model."""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterable

import pytest

from thinkport.runtime.errors import InputError
from thinkport.runtime.terminal.lines import toolbar
from thinkport.runtime.terminal.reply_programs import ChatProgram
from thinkport.runtime.terminal.warning_lines import tidy_warnings

sends_signals = pytest.mark.skipif(sys.platform == "win32", reason="os.kill can't send a Ctrl-C to itself on Windows")


class FakeLines:
    """Lines that a test gives; `edits` are the texts that were offered for editing."""

    def __init__(self, lines: Iterable[str]):
        self.lines = iter(lines)
        self.edits: list[str] = []

    def read(self, edit: str = "") -> str | None:
        self.edits.append(edit)
        return next(self.lines, None)


def run(conversation, *lines: str) -> FakeLines:
    source = FakeLines(lines)
    ChatProgram(conversation).run(source)
    return source


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_stdout_has_answers_only_and_stderr_the_rest(talk, script, capsys) -> None:
    run(talk(script(thought="hm hm", answer="**yes**")), "What?", "/no_think", "", "What?", "/exit", "not read")
    out, err = capsys.readouterr()
    assert out == "**yes**\n**yes**\n"
    assert "thinking off" in err
    assert err.splitlines()[0] == "hm hm"
    assert err.splitlines()[1] == (
        "prompt 9 (4 cached) · thought 2 at 2.0/s, natural · answer 1 at 1.0/s, stop · context 12/4096 (0%)"
    )


def test_a_line_that_fails_does_not_end_the_chat_but_tells_in_the_end(talk, capsys) -> None:
    with pytest.raises(InputError, match="not every line"):
        run(talk(), "refuse this", "/nonsense", "What?")
    out, err = capsys.readouterr()
    assert out == "yes\n"
    assert "context is 8" in err
    assert "unknown command /nonsense" in err


def test_a_file_that_cannot_be_read_is_one_sentence(talk, tmp_path, capsys) -> None:
    with pytest.raises(InputError, match="not every line"):
        run(talk(), f"/load {tmp_path / 'none'}")
    assert "No such file" in capsys.readouterr().err


def test_what_was_taken_back_is_offered_for_editing(talk) -> None:
    assert run(talk(), "What?", "/undo", "/stats").edits == ["", "", "What?", ""]


@sends_signals
def test_ctrl_c_in_a_thought_asks_for_the_answer(talk, script, capsys) -> None:
    pressed = script(thought="a b c d", answer="yes", on_piece=lambda number: interrupt() if number == 3 else None)
    conversation = talk(pressed)
    run(conversation, "What?")
    assert conversation.last.thinking_end.value == "user"
    assert capsys.readouterr().out.endswith("yes\n")


@sends_signals
def test_ctrl_c_in_an_answer_ends_the_turn_and_the_chat_goes_on(talk, script) -> None:
    pressed = script(answer="a b c d", on_piece=lambda number: interrupt() if number == 3 else None)
    conversation = talk(pressed, script(answer="fine"))
    run(conversation, "What?", "And?")
    assert [message["content"] for message in conversation.chat.messages] == ["What?", "a b", "And?", "fine"]


@sends_signals
def test_ctrl_c_three_times_leaves(talk, script) -> None:
    def press(number: int) -> None:
        if number == 2:
            for _ in range(3):
                interrupt()

    conversation = talk(script(thought="a b", answer="yes", on_piece=press))
    with pytest.raises(KeyboardInterrupt):
        run(conversation, "What?")
    assert (conversation.chat.stopped, conversation.chat.cancelled) == (True, True)


def test_a_pipe_needs_no_prompt_toolkit() -> None:
    code = (
        "import sys; from thinkport.runtime.terminal.lines import lines_for; lines_for(None, history=False);"
        "assert 'prompt_toolkit' not in sys.modules; import prompt_toolkit"
    )
    subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, check=True)


def test_a_warning_is_one_line_on_stderr(capsys) -> None:
    with tidy_warnings():
        warnings.simplefilter("default")
        warnings.warn("the switch does\nnothing here", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "thinkport: warning: the switch does nothing here\n"


def test_the_toolbar_has_what_fits(talk) -> None:
    conversation = talk()
    conversation.think(enabled=True, budget=512)
    assert toolbar(conversation, 80) == "thinking on · budget 512 · cpu · context 0/4096 (0%)"
    assert toolbar(conversation, 30) == "thinking on · budget 512 · cpu"

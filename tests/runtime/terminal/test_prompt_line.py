"""The prompt, typed at through a pipe."""

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from thinkport.runtime.terminal.prompt_line import CommandCompleter, PromptLine

ENTER, ALT_ENTER, CTRL_C, CTRL_D, UP = "\r", "\x1b\r", "\x03", "\x04", "\x1b[A"


def typed(keys: str, *, history: Path | None = None, edit: str = "", reads: int = 1) -> list[str | None]:
    with create_pipe_input() as keyboard:
        prompt = PromptLine(history=history, toolbar=lambda width: "·", input=keyboard, output=DummyOutput())
        keyboard.send_text(keys)
        return [prompt.read(edit) for _ in range(reads)]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (f"hi{ENTER}", "hi"),
        (f"one{ALT_ENTER}two{ENTER}", "one\ntwo"),
        (f"one\\{ENTER}two{ENTER}", "one\ntwo"),
        (f"\x1b[200~def f():\r\n    pass\n\x1b[201~{ENTER}", "def f():\n    pass\n"),
        (f"wrong{CTRL_C}right{ENTER}", "right"),
        (f"{ENTER}  {ENTER}hi{ENTER}", "  hi"),
        (CTRL_D, None),
        (CTRL_C + CTRL_C, None),
        (f"{CTRL_C}on{CTRL_C}{CTRL_C}hi{ENTER}", "hi"),
    ],
)
def test_keys_make_a_text(keys: str, text: str | None) -> None:
    assert typed(keys) == [text]


def test_a_text_to_edit_stands_there_to_begin_with() -> None:
    assert typed(f"?{ENTER}", edit="What") == ["What?"]


def test_what_was_typed_is_kept_for_the_next_chat(tmp_path: Path) -> None:
    history = tmp_path / "state" / "history"
    typed(f"first{ENTER}", history=history)
    assert typed(f"{UP}{ENTER}", history=history) == ["first"]
    if sys.platform != "win32":
        assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_a_history_that_cannot_be_kept_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert typed(f"hi{ENTER}", history=tmp_path / "file" / "history") == ["hi"]


def completions(text: str) -> Iterator[str]:
    return (found.text for found in CommandCompleter().get_completions(Document(text), CompleteEvent()))


def test_commands_and_paths_are_completed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "my-chat").touch()
    assert list(completions("/th")) == ["/think", "/thought"]
    assert list(completions(f"/load {tmp_path}/my")) == ["-chat"]
    assert list(completions(f"/system {tmp_path}/my")) == []
    assert list(completions("hello /th")) == []
    assert list(completions("/th\nx")) == []

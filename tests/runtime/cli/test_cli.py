"""What the verbs print, without loading a model: options, errors, and a reply's looks."""

import io
import json
import subprocess
import sys
from typing import Literal

import pytest
from rich.console import Console

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.events import AnswerPiece, End, Event, Speed, ThoughtEnd, ThoughtPiece
from thinkport.runtime.terminal.figures import figures
from thinkport.runtime.terminal.option_values import given
from thinkport.runtime.terminal.plain_reply import show_plain
from thinkport.runtime.thinking.thinking import DecidedBy, Switch, ThinkingEnd

END = End(
    thought="hm",
    answer="yes",
    thinking_end=ThinkingEnd.NATURAL,
    answer_end=Finish.STOP,
    enabled=Switch.ON,
    decided_by=DecidedBy.CALL,
    forced_tokens=0,
    prompt_tokens=9,
    cached_tokens=4,
    prefill=Speed(tokens=5, seconds=0.5),
    thinking=Speed(tokens=2, seconds=0.1),
    answering=Speed(tokens=3, seconds=0.0),
)
THOUGHT: list[Event] = [
    ThoughtPiece(text="h"),
    ThoughtPiece(text="m"),
    ThoughtEnd(reason=ThinkingEnd.NATURAL, thinking=END.thinking),
]
EVENTS: list[Event] = [*THOUGHT, AnswerPiece(text="[b]yes"), END]


def thinkport(*arguments: str) -> subprocess.CompletedProcess[str]:
    main = "from thinkport.runtime.cli.main import main; main()"
    command = [sys.executable, "-c", main, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def console_of(*, terminal: bool) -> Console:
    colors: Literal["standard"] | None = "standard" if terminal else None
    file = io.StringIO(newline="")
    return Console(file=file, force_terminal=terminal, highlight=False, markup=False, color_system=colors)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def printed(*, terminal: bool, events: list[Event] = EVENTS) -> str:
    console = console_of(terminal=terminal)
    assert show_plain(iter(events), console, console) is END
    return written(console)


def test_a_reply_on_one_stream_has_a_blank_line_after_the_thought() -> None:
    assert printed(terminal=False) == "hm\n\n[b]yes\n"


def test_a_thought_can_go_to_another_stream_or_nowhere() -> None:
    out, thoughts = console_of(terminal=False), console_of(terminal=False)
    show_plain(iter(EVENTS), out, thoughts)
    assert (written(out), written(thoughts)) == ("[b]yes\n", "hm\n")
    hidden = console_of(terminal=False)
    show_plain(iter(EVENTS), hidden)
    assert written(hidden) == "[b]yes\n"


def test_a_reply_that_ends_within_its_thought_has_no_blank_line_for_an_answer() -> None:
    assert printed(terminal=False, events=[*THOUGHT, END]) == "hm\n"


def test_in_a_terminal_the_thought_is_dim() -> None:
    assert printed(terminal=True).startswith("\x1b[2mh\x1b[0m")


ODD = "a\tb\r\nc\x07 \x1b[31mred\x9b \x7f" + " wide" * 99


def test_in_a_pipe_the_answer_is_what_the_model_wrote_to_the_character() -> None:
    assert printed(terminal=False, events=[AnswerPiece(text=ODD), END]) == ODD + "\n"


def test_a_terminal_keeps_tabs_and_obeys_nothing_that_the_model_writes() -> None:
    shown = "a\tb\nc\u2407 \u241b[31mred\ufffd \u2421" + " wide" * 99
    assert printed(terminal=True, events=[AnswerPiece(text=ODD), END]) == shown + "\n"


def test_the_figures_are_one_line() -> None:
    assert figures(END) == (
        "prompt 9 tokens (4 cached) in 0.50 s · thought 2 tokens at 20.0/s, natural · answer 3 tokens, stop"
    )


def test_json_has_the_parts_the_reasons_and_the_timings() -> None:
    data = json.loads(json.dumps(END.as_json()))
    assert data["thought_tokens"] == 2
    assert data["thinking_end"] == "natural"
    assert data["timings"]["answer"] == {"seconds": 0.0, "tokens_per_second": None}


def test_only_given_options_replace_the_preset_and_a_top_k_of_0_is_no_limit() -> None:
    assert given(top_k=None, temperature=0.0, top_p=None) == {"temperature": 0.0}
    assert SamplingSettings(top_k=20).override(given(top_k=0)).top_k is None
    assert given(top_k=5) == {"top_k": 5}


def test_the_version_is_shown() -> None:
    assert thinkport("--version").stdout.startswith("thinkport ")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["generate", "no-such-folder", "hi"], 3, "no artifact at no-such-folder"),
        (["chat", "no-such-folder"], 3, "no artifact at no-such-folder"),
        (["generate"], 2, "Missing argument"),
        (["generate", "x", "hi", "--max-tokens", "many"], 2, "--max-tokens"),
    ],
)
def test_a_users_mistake_is_a_message_and_an_exit_code(arguments, code, says) -> None:
    ended = thinkport(*arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr

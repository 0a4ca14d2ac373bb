"""Every `thinkport …` command in the README's code blocks is one that the program takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from thinkport.runtime.main import build_app

README = Path(__file__).parents[2] / "README.md"
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The program may stand behind another (`time -v thinkport …`) or in a folder (`.venv\Scripts\thinkport …`).
COMMAND = re.compile(r"^(?:\$ |> )?(?:\S+ )*?(?:\S*[\\/])?thinkport(?:\.exe)? (.*)$")


def commands(markdown: str) -> Iterator[list[str]]:
    """The arguments of each thinkport command in fenced blocks; a comment and a pipe end a command."""
    for block in FENCE.findall(markdown):
        for line in block.replace("\\\n", " ").splitlines():
            if found := COMMAND.match(line.split(" #")[0].strip()):
                yield list(_up_to_pipe(shlex.split(found[1])))


def _up_to_pipe(words: list[str]) -> Iterator[str]:
    for word in words:
        if word in {"|", ">", "2>", "&&", ";"}:
            return
        yield word


def parse(arguments: list[str]) -> Any:
    """Parse as the program would, running nothing; an unknown verb or option raises."""
    command = typer.main.get_command(build_app())
    context = command.make_context("thinkport", list(arguments), resilient_parsing=True)
    context.resilient_parsing = False
    name, verb, rest = command.resolve_command(context, list(arguments))  # type: ignore[attr-defined]
    return verb.make_context(name, rest, parent=context)


FOUND = list(commands(README.read_text(encoding="utf-8")))


@pytest.mark.parametrize("arguments", FOUND, ids=" ".join)
def test_a_command_of_the_readme_is_taken_by_the_program(arguments: list[str]) -> None:
    parse(arguments)


def test_the_readme_shows_the_main_verbs() -> None:
    assert {arguments[0] for arguments in FOUND} >= {"export", "inspect", "generate", "chat"}


def test_commands_are_found_in_code_blocks_only() -> None:
    text = (
        "thinkport no\n```sh\nmake\n$ thinkport chat a/b \\\n  --think  # c\ntime -v thinkport export x | tee y\n```\n"
    )
    assert list(commands(text)) == [["chat", "a/b", "--think"], ["export", "x"]]


@pytest.mark.parametrize("arguments", [["frobnicate", "x"], ["inspect", "x", "--no-such-option"], ["inspect"]])
def test_a_command_that_does_not_exist_would_be_caught(arguments: list[str]) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        parse(arguments)

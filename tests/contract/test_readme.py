"""Every `thinkport …` command in the code blocks of the documents is one that the program takes, and every link leads
somewhere."""

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from thinkport.export.optimum_command import ThinkportExportCommand
from thinkport.runtime.cli.main import build_app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "deploy" / "docs").glob("*.md"))]
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The program may stand behind another (`time -v thinkport …`) or in a folder (`.venv\Scripts\thinkport …`).
COMMAND = re.compile(r"^(?:\$ |> )?(?!optimum-cli )(?:\S+ )*?(?:\S*[\\/])?thinkport(?:\.exe)? (.*)$")
OPTIMUM = re.compile(r"^optimum-cli export thinkport (.*)$")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def commands(markdown: str, form: re.Pattern[str] = COMMAND) -> Iterator[list[str]]:
    """The arguments of each command of that form in fenced blocks; a comment and a pipe end a command."""
    for block in FENCE.findall(markdown):
        for line in block.replace("\\\n", " ").splitlines():
            if found := form.match(line.split(" #")[0].strip()):
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


def anchors(markdown: str) -> set[str]:
    """What headings can be linked by, as GitHub makes it of them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(markdown)}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


FOUND = [found for path in DOCUMENTS for found in commands(read(path))]
LINKS = [(path, link) for path in DOCUMENTS for link in LINK.findall(read(path)) if "://" not in link]


@pytest.mark.parametrize("arguments", FOUND, ids=" ".join)
def test_a_command_of_the_documents_is_taken_by_the_program(arguments: list[str]) -> None:
    parse(arguments)


def test_the_readme_is_a_first_read() -> None:
    assert len(read(DOCUMENTS[0]).splitlines()) <= 200


def test_every_verb_is_shown_in_the_documents() -> None:
    verbs = set(typer.main.get_command(build_app()).commands)  # type: ignore[attr-defined]
    assert {arguments[0] for arguments in FOUND} == verbs


def test_optimums_command_of_the_documents_is_taken_by_its_parser() -> None:
    found = [arguments for path in DOCUMENTS for arguments in commands(read(path), OPTIMUM)]
    parser = ArgumentParser(exit_on_error=False)
    ThinkportExportCommand.parse_args(parser)
    assert found
    assert all(parser.parse_args(arguments).output for arguments in found)


@pytest.mark.parametrize(("path", "link"), LINKS, ids=lambda value: value if isinstance(value, str) else value.stem)
def test_a_link_of_the_documents_leads_somewhere(path: Path, link: str) -> None:
    file, _, anchor = link.partition("#")
    where = path.parent / file if file else path
    assert where.exists()
    assert not anchor or anchor in anchors(read(where))


def test_commands_are_found_in_code_blocks_only() -> None:
    text = (
        "thinkport no\n```sh\nmake\n$ thinkport chat a/b \\\n  --think  # c\ntime -v thinkport export x | tee y\n```\n"
    )
    assert list(commands(text)) == [["chat", "a/b", "--think"], ["export", "x"]]


@pytest.mark.parametrize("arguments", [["frobnicate", "x"], ["inspect", "x", "--no-such-option"], ["inspect"]])
def test_a_command_that_does_not_exist_would_be_caught(arguments: list[str]) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        parse(arguments)

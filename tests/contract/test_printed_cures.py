"""Every command that a message tells the user to run is one that works.

Commands of thinkport are read out of the sources and parsed as the program would. Install lines are run as they are
printed, in a fresh environment that has thinkport and nothing of its extras (`-m online`: they ask a package index).
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from tests.contract.source_tree import MODULES, ROOT, tree_of

from thinkport.runtime.cli.main import build_app
from thinkport.runtime.extras import install_line, uninstall_line

COMMAND = re.compile(r"`thinkport ([a-z][^`]*)`")
PIP = re.compile(r'pip install (?:-\S+ )*(?:"[^"]+"|[\w./=<>~-]+)|pip uninstall -y(?: (?!then|and|or|not)[\w.=-]+)+')


def texts(tree: ast.Module) -> Iterator[str]:
    """Every text of a module but its docstrings, an `x` for each value that is put into one."""
    docstrings = {id(text) for node in ast.walk(tree) for text in _docstring(node)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "x" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | inside:
            yield node.value


def _docstring(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            yield first.value


SAID = [(path.name, text) for _, path in MODULES for text in texts(tree_of(path))]
COMMANDS = sorted({(name, found) for name, text in SAID for found in COMMAND.findall(" ".join(text.split()))})


@pytest.mark.parametrize(("where", "command"), COMMANDS, ids=lambda value: value)
def test_a_command_of_a_message_is_one_of_the_programs(where: str, command: str) -> None:
    """A verb alone names what to look up; with arguments it is what to type."""
    verb, *arguments = command.split()
    group = typer.main.get_command(build_app())
    known = group.commands[verb]  # type: ignore[attr-defined]
    if arguments:
        known.make_context(verb, arguments, parent=typer.Context(group), resilient_parsing=False)


def test_commands_are_found() -> None:
    assert {"export CHECKPOINT -o DIR", "pull OWNER/NAME", "recipes", "doctor ARTIFACT"} <= {one for _, one in COMMANDS}


def test_no_message_uninstalls_without_saying_yes() -> None:
    """pip asks otherwise, and where nobody can answer it fails."""
    told = [text for _, text in SAID if "pip uninstall" in text]
    assert told
    assert not [text for text in told if not re.search(r"pip uninstall -y", text)]
    assert uninstall_line("b", "a") == "pip uninstall -y a b"


def printed_lines(text: str) -> list[str]:
    """The pip commands in what a program printed, which may have been wrapped."""
    return PIP.findall(" ".join(text.split()))


def test_pip_commands_are_found_in_a_message() -> None:
    told = (
        f'no x: run {install_line("cpu")} (on Linux), or pip uninstall -y a b, then pip install "t[c,d]"\n   CPU Intel'
    )
    assert printed_lines(told) == [install_line("cpu"), "pip uninstall -y a b", 'pip install "t[c,d]"']
    assert printed_lines("x: pip install ./a/b from a clone") == ["pip install ./a/b"]


class Environment:
    """A fresh virtual environment in which thinkport is installed from this clone, without extras."""

    def __init__(self, folder: Path):
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        self.shell(f'pip install --quiet "{ROOT}"')

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run thinkport there."""
        program = [str(self.bin / "thinkport"), *arguments]
        return subprocess.run(program, env=self._clear(), capture_output=True, text=True, check=False, timeout=600)

    def shell(self, line: str) -> str:
        """Run a line as a user would type it, and give back what it printed."""
        done = subprocess.run(
            line, shell=True, cwd=ROOT, env=self._clear(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
        return done.stdout

    def _clear(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        kept["DISPLAY"] = os.environ.get("DISPLAY") or ":0"  # without a screen a window is refused first
        return kept | {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("fresh") / "env")


def cured(fresh: Environment, *arguments: str, dry: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a verb that lacks something, then the lines that it prints, and the verb again."""
    lacking = fresh.run(*arguments)
    assert lacking.returncode in (2, 4), lacking.stderr
    lines = printed_lines(lacking.stderr)
    assert lines, lacking.stderr
    for line in lines:
        fresh.shell(line.replace("pip install", "pip install --dry-run --quiet") if dry else line)
    return lacking if dry else fresh.run(*arguments)


@pytest.mark.online
def test_install_lines_of_messages_work_where_they_are_printed(fresh: Environment, nano_artifact: Path) -> None:
    """One story: nothing is installed, and each message's line is run until the verb does its work."""
    ask = ("generate", str(nano_artifact), "What is 3*4?", "--seed", "0", "--no-think", "--kernels", "off")
    answered = cured(fresh, *ask)
    assert (answered.returncode, answered.stdout.strip().isdigit()) == (0, True), answered.stderr
    served = cured(fresh, "serve", str(nano_artifact / "nowhere"))  # what is missing is looked for first
    assert served.returncode == 3, served.stderr
    plotted = cured(fresh, "eval", str(nano_artifact), "--n", "1", "--budgets", "", "--plot", str(fresh.bin / "a.png"))
    assert plotted.returncode == 0, plotted.stderr
    looked = fresh.run("doctor", str(nano_artifact))
    for line in printed_lines(looked.stdout):
        fresh.shell(line)
    assert "not installed" not in fresh.run("doctor", str(nano_artifact)).stdout
    assert fresh.run(*ask).stdout == answered.stdout


@pytest.mark.online
@pytest.mark.parametrize(
    "arguments",
    [("export", "nowhere", "-o", "out"), ("desktop",), ("bundle", "ARTIFACT", "-o", "out", "--sidecar")],
    ids=lambda arguments: arguments[0],
)
def test_install_lines_that_bring_gigabytes_resolve(fresh: Environment, arguments, nano_artifact: Path) -> None:
    cured(fresh, *(str(nano_artifact) if one == "ARTIFACT" else one for one in arguments), dry=True)


@pytest.mark.online
@pytest.mark.skipif(sys.platform != "linux", reason="which builds exist depends on the system")
def test_a_provider_that_another_build_has_is_cured_and_one_that_no_build_has_is_not_promised(
    fresh: Environment, nano_artifact: Path
) -> None:
    fresh.shell(install_line("cpu"))
    ask = ("generate", str(nano_artifact), "hi", "--provider")
    refused = fresh.run(*ask, "dml")
    assert (refused.returncode, printed_lines(refused.stderr)) == (2, [])
    assert "leave the provider out" in refused.stderr
    told = printed_lines(fresh.run(*ask, "cuda").stderr)
    assert [line.split()[1] for line in told] == ["uninstall", "install"]
    fresh.shell(told[0])
    fresh.shell(told[1].replace("pip install", "pip install --dry-run --quiet"))
    assert "no ONNX Runtime is installed" in fresh.run(*ask, "cpu").stderr
    examined = fresh.run("doctor", str(nano_artifact), "--provider", "dml")
    assert "uninstall" not in examined.stdout

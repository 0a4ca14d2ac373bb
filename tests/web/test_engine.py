"""The engine and the page in TypeScript: their own tests, their types, and the program in the engine's README."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.web.workspace import APP, ENGINE, passes, run, skips

PAGE = ENGINE / "README.md"


@pytest.mark.parametrize("folder", [ENGINE, APP], ids=["engine", "page"])
def test_their_types_hold(folder: Path) -> None:
    done = run(folder, "tsc", "-p", "tsconfig.json")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("folder", [ENGINE, APP], ids=["engine", "page"])
def test_their_tests_pass_on_what_python_gives_and_over_an_artifact_in_node(
    folder: Path, nano_artifact: Path, tmp_path: Path
) -> None:
    command = ["vitest", "run", "--exclude", "tests/browser.test.ts"]
    done = run(folder, *command, THINKPORT_ARTIFACT=str(nano_artifact), XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def in_browser(folder: Path, artifact: Path, browser: str, *only: str) -> None:
    asked = {"THINKPORT_ARTIFACT": str(artifact), "THINKPORT_BROWSER": browser}
    done = run(folder, "vitest", "run", "tests/browser.test.ts", *only, **asked)
    assert done.returncode == 0, done.stdout + done.stderr
    if skips(done.stdout) and not (only and passes(done.stdout)):
        pytest.skip(f"no {browser} at its usual places")


@pytest.mark.long
@pytest.mark.parametrize("browser", ["chromium", "firefox"])
@pytest.mark.parametrize("folder", [ENGINE, APP], ids=["engine", "page"])
def test_an_artifact_runs_in_a_browser(folder: Path, browser: str, nano_artifact: Path) -> None:
    in_browser(folder, nano_artifact, browser)


def test_the_page_thinks_and_answers_in_chromium(nano_artifact: Path) -> None:
    in_browser(APP, nano_artifact, "chromium", "-t", "thinks and answers")


def program() -> str:
    """The Node program of the README, about thirty lines."""
    (found,) = re.findall(r"```js\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found.splitlines()) <= 40
    return str(found)


def node(script: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(ENGINE, "node", str(script), *map(str, arguments), **environment)


def test_the_readmes_program_asks_and_asks_again(nano_artifact: Path, tmp_path: Path) -> None:
    built = run(ENGINE, "vite", "build", "--logLevel", "error")
    assert built.returncode == 0, built.stderr
    script = ENGINE / "dist" / "ask.mjs"  # beside node_modules, where the package is found by its name
    script.write_text(program(), encoding="utf-8")
    done = node(script, nano_artifact, "What is 2+2?", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "cpu.onnx on cpu" in done.stdout
    assert re.search(r"\[thought\].*\[answer\]", done.stdout, re.DOTALL)
    known = [int(number) for number in re.findall(r"\((\d+) of \d+ prompt tokens were known", done.stdout)]
    assert known[0] == 0
    assert known[1] > 0
    missing = node(script, tmp_path / "nowhere")
    assert missing.returncode == 1
    assert "can't be read" in missing.stderr
    assert "    at " not in missing.stderr  # no stack

"""The engine in TypeScript: its own tests, its types, and the program in its README, over an artifact of this run."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.web.workspace import ENGINE, npx, skips

PAGE = ENGINE / "README.md"


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    settings = os.environ | {"NO_COLOR": "1"} | environment
    return subprocess.run(command, cwd=ENGINE, env=settings, capture_output=True, text=True, check=False)


def test_its_types_hold() -> None:
    done = run([*npx(), "tsc", "-p", "tsconfig.json"])
    assert done.returncode == 0, done.stdout


def test_its_tests_pass_on_what_python_gives_and_over_an_artifact_in_node(nano_artifact: Path, tmp_path: Path) -> None:
    command = [*npx(), "vitest", "run", "--exclude", "tests/chromium.test.ts"]
    done = run(command, THINKPORT_ARTIFACT=str(nano_artifact), XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_it_runs_an_artifact_in_chromium(nano_artifact: Path) -> None:
    done = run([*npx(), "vitest", "run", "tests/chromium.test.ts"], THINKPORT_ARTIFACT=str(nano_artifact))
    assert done.returncode == 0, done.stdout + done.stderr
    if skips(done.stdout):
        pytest.skip("no Chromium at its usual places")


def program() -> str:
    """The Node program of the README, about thirty lines."""
    (found,) = re.findall(r"```js\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found.splitlines()) <= 40
    return str(found)


def test_the_readmes_program_asks_and_asks_again(nano_artifact: Path, tmp_path: Path) -> None:
    built = run([*npx(), "vite", "build", "--logLevel", "error"])
    assert built.returncode == 0, built.stderr
    script = ENGINE / "dist" / "ask.mjs"  # beside node_modules, where the package is found by its name
    script.write_text(program(), encoding="utf-8")
    done = run(["node", str(script), str(nano_artifact), "What is 2+2?"], XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "cpu.onnx on cpu" in done.stdout
    assert re.search(r"\[thought\].*\[answer\]", done.stdout, re.DOTALL)
    known = [int(number) for number in re.findall(r"\((\d+) of \d+ prompt tokens were known", done.stdout)]
    assert known[0] == 0
    assert known[1] > 0
    missing = run(["node", str(script), str(tmp_path / "nowhere")])
    assert missing.returncode == 1
    assert "can't be read" in missing.stderr
    assert "at " not in missing.stderr  # no stack

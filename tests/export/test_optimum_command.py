"""`optimum-cli export thinkport`, through Optimum's own registration."""

import os
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest

from thinkport.export.optimum_command import ThinkportExportCommand, arguments_of
from thinkport.runtime.artifact.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[2]
OPTIMUM = "from optimum.commands.optimum_cli import main; main()"


def optimum(*arguments: str) -> subprocess.CompletedProcess[str]:
    roots = os.pathsep.join(str(ROOT / part) for part in ("export", "deploy", "runtime_py"))
    command = [sys.executable, "-c", OPTIMUM, *arguments]
    env = os.environ | {"PYTHONPATH": roots}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def parsed(*arguments: str) -> list[str]:
    parser = ArgumentParser()
    ThinkportExportCommand.parse_args(parser)
    return arguments_of(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], []),
        (["--recipe", "fast"], ["--recipe", "fast"]),
        (["--no-certificate", "--force"], ["--no-certificate", "--force"]),
        (["--think", "-q"], ["--think", "--quiet"]),
    ],
)
def test_options_reach_the_export_as_they_were_given(given: list[str], passed: list[str]) -> None:
    line = parsed("owner/name", "out", *given)
    assert line[:3] == ["owner/name", "--output", "out"]
    assert sorted(line[3:]) == sorted(passed)


def test_optimum_lists_the_command_with_the_options_of_the_export() -> None:
    shown = optimum("export", "thinkport", "--help")
    assert shown.returncode == 0, shown.stderr
    assert all(word in shown.stdout for word in ("MODEL", "OUT", "--recipe", "--no-certificate", "--force"))


def test_optimum_exports_an_artifact(nano_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "artifact"
    quickly = ("--recipe", "fast", "--target", "cpu", "--no-certificate", "--quiet")
    done = optimum("export", "thinkport", str(nano_checkpoint), str(out), *quickly)
    assert done.returncode == 0, done.stderr
    assert read_manifest(out).graphs


def test_an_error_is_one_line_with_its_exit_code(tmp_path: Path) -> None:
    ended = optimum("export", "thinkport", str(tmp_path), str(tmp_path / "out"), "--quiet")
    assert ended.returncode != 0
    assert "thinkport: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_value_that_the_export_refuses_is_one_line_too(tmp_path: Path) -> None:
    ended = optimum("export", "thinkport", str(tmp_path), str(tmp_path / "out"), "--min-agreement", "much")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("thinkport: ")
    assert "--min-agreement" in ended.stderr
    assert "Traceback" not in ended.stderr

"""The workspace of npm packages beside the Python product, where Node and its packages are there."""

import os
import re
import shutil
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from tests.web.scripted_model import ROOT

WEB = ROOT / "deploy" / "web"
ENGINE = WEB / "engine"
APP = WEB / "app"


def npx() -> list[str]:
    """The command that runs a program of the workspace's packages; skips the test where there is none."""
    builder = page_builder()
    node = builder.find_node()
    if node is None:
        pytest.skip(f"no Node {builder.NODE}: install it, with npm")
    command = shutil.which("npx", path=str(node))
    if command is None:
        pytest.skip(f"no npx beside the node of {node}: install Node with npm")
    if not builder.is_installed("app", "engine"):  # a page alone is built without the engine's packages
        pytest.skip("the engine's packages are not installed: npm ci --prefix deploy/web")
    return [command, "--no-install"]


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the workspace's packages in a folder of it; skips the test where there is none."""
    program = npx()
    path = os.pathsep.join([str(Path(program[0]).parent), os.environ.get("PATH", "")])  # npx asks the PATH for node
    settings = os.environ | {"NO_COLOR": "1", "PATH": path} | environment
    return subprocess.run([*program, *command], cwd=folder, env=settings, capture_output=True, text=True, check=False)


def page_builder() -> ModuleType:
    """The program that builds the page, which is in no package."""
    spec = spec_from_file_location("thinkport_page_build", WEB / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def passes(said: str) -> bool:
    """Whether vitest's last lines count tests that passed."""
    return re.search(r"^ *Tests +.*\bpassed\b", said, re.MULTILINE) is not None


def fails(said: str) -> bool:
    """Whether vitest's last lines count tests that failed."""
    return re.search(r"^ *Tests +.*\bfailed\b", said, re.MULTILINE) is not None


def skips(said: str) -> bool:
    """Whether vitest's last lines count tests that were skipped; their names may say the word too."""
    return re.search(r"^ *Tests +.*\bskipped\b", said, re.MULTILINE) is not None

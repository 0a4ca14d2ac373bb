"""The workspace of npm packages beside the Python product, where Node and its packages are there."""

import json
import re
import shutil
import subprocess

import pytest
from tests.web.scripted_model import ROOT

WEB = ROOT / "deploy" / "web"
ENGINE = WEB / "engine"


def npx() -> list[str]:
    """The command that runs a program of the workspace's packages; skips the test where there is none."""
    command, node = shutil.which("npx"), shutil.which("node")
    if command is None or node is None:
        pytest.skip("no Node: install version 20.19 or newer, with npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(map(int, version.removeprefix("v").split(".")[:2])) < (20, 19):
        pytest.skip(f"Node is {version}, expected 20.19 or newer")
    engine = json.loads((ENGINE / "package.json").read_text(encoding="utf-8"))
    root = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    wants = engine["dependencies"] | engine["devDependencies"] | root["devDependencies"]
    for name, wanted in wants.items():  # a page alone is built without the engine's
        installed = WEB / "node_modules" / name / "package.json"
        if not installed.is_file() or json.loads(installed.read_text(encoding="utf-8"))["version"] != wanted:
            pytest.skip("the engine's packages are not installed: npm ci --prefix deploy/web")
    return [command, "--no-install"]


def skips(said: str) -> bool:
    """Whether vitest's last lines count tests that were skipped; their names may say the word too."""
    return re.search(r"^ *Tests +.*\bskipped\b", said, re.MULTILINE) is not None

"""The workspace of npm packages beside the Python product, where Node and its packages are there."""

import json
import re
import shutil
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest
from tests.web.scripted_model import ROOT

WEB = ROOT / "deploy" / "web"
ENGINE = WEB / "engine"


def npx() -> list[str]:
    """The command that runs a program of the workspace's packages; skips the test where there is none."""
    builder = page_builder()
    node = builder.find_node()
    if node is None:
        pytest.skip(f"no Node {builder.NODE}: install it, with npm")
    command = shutil.which("npx", path=str(node))
    if command is None:
        pytest.skip(f"no npx beside the node of {node}: install Node with npm")
    engine = json.loads((ENGINE / "package.json").read_text(encoding="utf-8"))
    root = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    wants = engine["dependencies"] | engine["devDependencies"] | root["devDependencies"]
    for name, wanted in wants.items():  # a page alone is built without the engine's
        installed = WEB / "node_modules" / name / "package.json"
        if not installed.is_file() or json.loads(installed.read_text(encoding="utf-8"))["version"] != wanted:
            pytest.skip("the engine's packages are not installed: npm ci --prefix deploy/web")
    return [command, "--no-install"]


def page_builder() -> ModuleType:
    """The program that builds the page, which is in no package."""
    spec = spec_from_file_location("thinkport_page_build", WEB / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def skips(said: str) -> bool:
    """Whether vitest's last lines count tests that were skipped; their names may say the word too."""
    return re.search(r"^ *Tests +.*\bskipped\b", said, re.MULTILINE) is not None

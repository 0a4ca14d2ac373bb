"""Puts onnxruntime-web's files into the wheel: from the workspace's packages, or from npm by the lock's hash."""

import base64
import hashlib
import json
import tarfile
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "onnxruntime-web"
_WEB = Path(__file__).resolve().parents[1]
_INTO = f"thinkport_onnxruntime_web/{NAME}"


class OnnxruntimeWebHook(BuildHookInterface[Any]):
    """Brings the files that `thinkport web` names."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """PyPI's Node, where the files have to be fetched and the machine has none."""
        page = loaded(_WEB / "build.py")
        return [] if _installed() or page.find_node() else [page.NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling. Raises RuntimeError where npm fails or gives another package than the lock has."""
        self._work = tempfile.TemporaryDirectory()
        folder = _installed() or _fetched(Path(self._work.name))
        for name in names():
            if not (folder / name).is_file():
                raise RuntimeError(f"{folder} lacks {name}: install the workspace's packages again with npm ci")
            build_data["force_include"][str(folder / name)] = f"{_INTO}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Delete what was fetched."""
        self._work.cleanup()


def names() -> list[str]:
    """The files, in the npm package."""
    listed = loaded(_WEB.parent / "thinkport" / "deploy" / "website" / "onnxruntime_files.py")
    return ["package.json", *(f"dist/{name}" for name in (*listed.SCRIPTS, *listed.BINARIES.values()))]


def loaded(path: Path) -> ModuleType:
    """A module of the clone that needs nothing installed."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None, "the path ends in .py"
    assert spec.loader is not None, "a file has a loader"
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _locked() -> dict[str, Any]:
    lock = json.loads((_WEB / "package-lock.json").read_text(encoding="utf-8"))
    locked: dict[str, Any] = lock["packages"][f"node_modules/{NAME}"]
    return locked


def _installed() -> Path | None:
    folder = _WEB / "node_modules" / NAME
    try:
        version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return None
    return folder if version == _locked()["version"] else None


def _fetched(into: Path) -> Path:
    locked = _locked()
    page = loaded(_WEB / "build.py")
    node = page.find_node()
    if node is None:
        raise RuntimeError(f"{NAME} is fetched by npm, and there is no Node: install it, or {page.NODE_PACKAGE}")
    page.run_program(node, into, "npm", "pack", f"{NAME}@{locked['version']}", "--pack-destination", str(into))
    (packed,) = into.glob("*.tgz")
    kind, expected = locked["integrity"].split("-", 1)
    found = base64.b64encode(hashlib.new(kind, packed.read_bytes()).digest()).decode()
    if found != expected:
        raise RuntimeError(f"npm gave {NAME} {locked['version']} with {kind} {found}, expected {expected}")
    with tarfile.open(packed) as archive:
        archive.extractall(into, filter="data")
    return into / "package"

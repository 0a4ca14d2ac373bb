"""The files of onnxruntime-web that a site carries: from a package of Python, or from the npm package's folder.

They are 41 MB, which the base install does without.
"""

import json
from importlib.util import find_spec
from pathlib import Path

from thinkport.deploy.website.onnxruntime_files import BINARIES, SCRIPTS, VERSION
from thinkport.runtime.errors import InputError, MissingExtraError

_MODULE = "thinkport_onnxruntime_web"
_SOURCES = Path(__file__).parents[3] / "web" / "onnxruntime_web"  # in a clone


def find_onnxruntime_web(folder: Path | None) -> Path:
    """The folder of scripts and .wasm files: of the npm package at `folder`, or of the installed package of Python.

    Raises:
        InputError: `folder` is not that package, or of another version.
        MissingExtraError: nothing is installed; the message has the line that installs it.
    """
    if folder is None:
        spec = find_spec(_MODULE)
        if spec is None or spec.origin is None:
            raise MissingExtraError(_how_to_get_it())
        folder = Path(spec.origin).parent / "onnxruntime-web"
    version = _version(folder)
    if version != VERSION:
        raise InputError(
            f"{folder} has onnxruntime-web {version}, expected {VERSION}: a site is made with the version that its "
            f"engine was tested with; npm pack onnxruntime-web@{VERSION} fetches it"
        )
    missing = [name for name in (*SCRIPTS, *BINARIES.values()) if not (folder / "dist" / name).is_file()]
    if missing:
        raise InputError(f"{folder} lacks dist/{missing[0]}: unpack the whole npm package onnxruntime-web@{VERSION}")
    return folder / "dist"


def _version(folder: Path) -> str:
    try:
        told = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = None
    if not isinstance(told, dict) or told.get("name") != "onnxruntime-web":
        raise InputError(
            f"{folder} is not the npm package onnxruntime-web: expected the folder that has its package.json and dist"
        )
    return str(told.get("version"))


def _how_to_get_it() -> str:
    at_hand = f"pip install {_SOURCES} (which fetches it by npm once), or " if _SOURCES.is_dir() else ""
    return (
        f"a site needs onnxruntime-web {VERSION}, whose 41 MB thinkport does not bring: {at_hand}npm pack "
        f"onnxruntime-web@{VERSION}, unpack what it fetches, and give its folder package with --onnxruntime-web DIR"
    )

"""Builds a sidecar: PyInstaller's folder of the console command, and the artifact in it.

Knows PyInstaller's options and which packages a server does without. Must not know how the server works.
A sidecar is for the system that it is built on: PyInstaller builds for no other.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from thinkport.runtime.artifact.manifest import check_files, read_manifest
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.extras import require
from thinkport.runtime.providers.plugins import PLUGINS

PROGRAM = "thinkport-sidecar"
ARTIFACT = "artifact"
KERNELS = "thinkport_kernels"
_ENTRY = '"""The console command, frozen."""\n\nfrom thinkport.launch import main\n\nmain()\n'
# Verbs are found through the distribution's entry points, so its metadata travels; each part's module is named since
# nothing imports it by name.
_VERBS = ("thinkport.runtime.cli.text_verbs", "thinkport.deploy.cli", "thinkport.export.cli")
_WHOLE = ("thinkport.runtime", "uvicorn")  # packages that import some of their modules by name only
# What a server never imports.
_EXPORTING = ("torch", "transformers", "onnx", "onnx_ir", "onnxscript", "onnxruntime_genai", "optimum")
_SHOWING = ("matplotlib", "scipy", "sympy", "pandas", "PIL", "PySide6", "tkinter", "math_verify")
_WITHOUT = (*_EXPORTING, *_SHOWING, "mypy", "pytest", "hypothesis", "IPython")


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """A built sidecar: its folder, the program in it, and the bytes of all its files, the artifact's included."""

    folder: Path
    program: Path
    bytes: int


def build_sidecar(artifact: Path, output: Path, *, force: bool = False) -> Sidecar:
    """Build a sidecar of an artifact into the folder `output`, which appears once it is whole.

    Raises:
        ArtifactError: the artifact is not whole, or PyInstaller failed.
        InputError: there is something at `output`, and `force` does not allow to replace it.
        MissingExtraError: PyInstaller or the server's packages are not installed.
    """
    require("sidecar", "PyInstaller")
    require("server", "starlette", "uvicorn", "prometheus_client")
    check_files(artifact, read_manifest(artifact), verify=True)
    if output.exists() and not force:
        raise InputError(f"{output} exists: give another folder, or --force to replace it")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".sidecar-") as work:
        built = _freeze(Path(work))
        shutil.copytree(artifact, built / ARTIFACT)
        if output.exists():
            shutil.rmtree(output)
        built.replace(output)
    suffix = ".exe" if sys.platform == "win32" else ""
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file() and not path.is_symlink())
    return Sidecar(folder=output, program=output / f"{PROGRAM}{suffix}", bytes=size)


def pyinstaller_options() -> list[str]:
    """What PyInstaller is told, but for where files lie; the same on every system that has the same packages."""
    options = ["--noconfirm", "--onedir", "--console", "--name", PROGRAM, "--log-level", "ERROR"]
    options += ["--copy-metadata", "thinkport", "--contents-directory", "lib"]
    options += ["--collect-data", "thinkport.runtime", "--collect-binaries", "onnxruntime"]
    for plugin in PLUGINS:  # imported by name, and found by its distribution's metadata
        if plugin.version is not None:
            options += ["--collect-all", plugin.module, "--copy-metadata", plugin.distribution]
    if find_spec(KERNELS) is not None:  # imported by name too
        options += ["--collect-all", KERNELS]
    named = {"--hidden-import": (*_VERBS, "onnxruntime"), "--collect-submodules": _WHOLE, "--exclude-module": _WITHOUT}
    return options + [word for option, names in named.items() for name in names for word in (option, name)]


def _freeze(work: Path) -> Path:
    entry = work / "entry.py"
    entry.write_text(_ENTRY, encoding="utf-8")
    places = ["--distpath", str(work / "dist"), "--workpath", str(work / "build"), "--specpath", str(work)]
    command = [sys.executable, "-m", "PyInstaller", *pyinstaller_options(), *places, str(entry)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArtifactError(f"PyInstaller failed: {' '.join(done.stderr.splitlines()[-3:]) or done.returncode}")
    return work / "dist" / PROGRAM

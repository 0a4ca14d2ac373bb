"""Windows, as Wine plays it: what a bundle for it installs says of an artifact, in a CPython of Windows.

It proves that the kernels' DLL loads there and agrees with the checkpoint, and says nothing about speed, nor about what
Windows itself does differently. `windows.sh` adds Wine and that Python to the Debian 13 folder.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from tests.systems.conftest import System

from thinkport.deploy.bundle import BundleSettings, make_bundle

WINDOWS_PYTHON = "3.12"
# Wine 10's C library lacks a function of complex numbers (crealf) that newer ones call.
NUMPY = "numpy==1.26.4"
WINE = {
    "PATH": "/usr/bin:/bin:/usr/lib/wine",
    "HOME": "/windows/home",
    "XDG_RUNTIME_DIR": "/tmp",
    "WINEPREFIX": "/windows/prefix",
    "WINEDEBUG": "-all",
    "WINEDLLOVERRIDES": "mscoree,mshtml=",  # no questions about .NET and a browser
    "PYTHONUTF8": "1",
    "PYTHONPATH": r"Z:\windows-bundle\site",
    "ORT_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True)
class Windows:
    """A CPython of Windows with the packages of a bundle, which lies in `\\windows-bundle`."""

    system: System

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python with arguments to its end."""
        environment = [f"{name}={value}" for name, value in WINE.items()]
        return self.system.run("env", "-i", *environment, "wine", "/windows/cp312/python.exe", *arguments)


@pytest.fixture(scope="session")
def windows(
    debian13: System, nano_artifact: Path, kernel_wheel: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Windows:
    """Windows with the nano artifact's bundle, kernels included."""
    if not all((debian13.folder / name).exists() for name in ("usr/lib/wine/wine64", "windows/cp312/python.exe")):
        pytest.skip(f"no Wine in {debian13.folder}: as root, `tests/systems/windows.sh {debian13.folder}` adds it")
    (debian13.folder / "windows" / "home").mkdir(exist_ok=True)
    made, kernels = tmp_path_factory.mktemp("bundle") / "windows.zip", kernel_wheel("win-amd64").parent
    settings = BundleSettings(platform="win-amd64", provider="cpu", python=WINDOWS_PYTHON, kernels=kernels)
    make_bundle(nano_artifact, made, settings)
    folder = debian13.unpacked(made, "windows-bundle")
    for newer in (folder / "site").glob("numpy*"):
        shutil.rmtree(newer)
    place = ["--platform", "win_amd64", "--python-version", WINDOWS_PYTHON, "--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *place, "--dest", str(made.parent)]
    subprocess.run([*command, NUMPY], check=True, capture_output=True)
    with ZipFile(next(made.parent.glob("numpy-*.whl"))) as file:
        file.extractall(folder / "site")
    return Windows(debian13)


@pytest.mark.long
def test_the_dll_loads_and_its_kernel_sets_are_right(windows: Windows) -> None:
    library = r"Z:\windows-bundle\site\thinkport_kernels\thinkport_kernels.dll"
    done = windows.run("-m", "thinkport.runtime", "try-graphs", "--kernels", library)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is None


@pytest.mark.long
def test_every_graph_for_the_cpu_agrees_with_the_checkpoint_on_windows(windows: Windows) -> None:
    done = windows.run("-m", "thinkport.runtime", "doctor", r"Z:\windows-bundle\artifact", "--json")
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: with a warning
    examined: dict[str, Any] = json.loads(done.stdout)
    best = examined["facts"]["kernels"].partition(",")[0]
    attempts = [trial["attempt"] for trial in examined["trials"]]
    assert {one["graph"]: (one["outcome"], one["kernels"]) for one in attempts} == {
        "cpu-native.onnx": ("checked", best),
        "cpu.onnx": ("checked", None),
        "cpu-float32-kv.onnx": ("checked", None),
    }, attempts

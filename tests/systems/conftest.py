"""A Debian 13 system in a folder, which `debian13.sh` makes; `make test-long` has it made before the tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.kernels.conftest import SOURCE

from compile_library import SYSTEMS
from thinkport.deploy.bundle import BundleSettings, make_bundle

# Enters a folder with /proc, /sys and /dev, in a mount namespace of its own: nothing stays mounted.
ENTER = 'for one in proc sys dev; do mount --rbind "/$one" "$0/$one"; done; exec chroot "$0" "$@"'
PYTHON = "3.13"  # of Debian 13
FOLDER = Path(__file__).resolve().parents[2] / ".venv" / "debian13"


@dataclass(frozen=True)
class System:
    """A system in a folder; `run` runs a program of it, whose paths are within the folder."""

    folder: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", ENTER, str(self.folder), *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False)

    def run_on_lavapipe(self, bundle: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the packages of an unpacked bundle, and with a software adapter for WebGPU."""
        adapter = ["ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1", "XDG_RUNTIME_DIR=/tmp", "HOME=/tmp"]
        return self.run("env", f"PYTHONPATH=/{bundle.name}/site", *adapter, *command)

    def unpacked(self, bundle: Path, name: str) -> Path:
        """Unpack a bundle into a folder of that name at the system's root, its wheels into `site` there."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        with ZipFile(bundle) as file:
            file.extractall(folder)
        for wheel in folder.rglob("*.whl"):
            with ZipFile(wheel) as file:
                file.extractall(folder / "site")
        return folder


@pytest.fixture(scope="session")
def debian13() -> System:
    """The system. The tests that need it are skipped where it was not made, or can't be entered."""
    folder = Path(os.environ.get("THINKPORT_DEBIAN13", FOLDER))
    if not (folder / ".whole").exists():
        pytest.skip(f"no Debian 13 at {folder}: as root, `tests/systems/debian13.sh {folder}` makes one")
    system = System(folder)
    if system.run("true").returncode:
        pytest.skip(f"{folder} can be entered by root only, who may mount")
    return system


@pytest.fixture(scope="session")
def kernel_wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`kernel_wheel(system)` is the kernels' wheel for a system, cross-compiled by Zig once a run.

    THINKPORT_KERNEL_WHEELS names a folder with wheels that were made of this tree before.
    """
    given = os.environ.get("THINKPORT_KERNEL_WHEELS")
    folder = Path(given) if given else tmp_path_factory.mktemp("kernels")

    def built(system: str) -> Path:
        tag = SYSTEMS[system].tag
        if not list(folder.glob(f"*-{tag}.whl")):
            pytest.importorskip("ziglang", reason="needs the package ziglang: make test-long")
            command = [sys.executable, str(SOURCE / "build_wheels.py"), "--output", str(folder), system]
            subprocess.run(command, check=True, capture_output=True)
        (found,) = folder.glob(f"*-{tag}.whl")
        return found

    return built


@pytest.fixture(scope="session")
def webgpu_bundle(debian13: System, nano_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nano artifact's bundle with WebGPU, unpacked within the Debian 13 folder, its wheels in `site`."""
    made = tmp_path_factory.mktemp("bundle") / "webgpu.zip"
    make_bundle(nano_artifact, made, BundleSettings(platform="linux-x86_64", provider="webgpu", python=PYTHON))
    return debian13.unpacked(made, "webgpu-bundle")

"""A Debian 13 system in a folder, which `debian13.sh` makes; `make test-long` has it made before the tests."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

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

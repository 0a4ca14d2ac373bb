"""The package of kernels as sources: an sdist builds what the folder builds."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.kernels.conftest import SOURCE

from compile_library import this_system


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    pytest.importorskip("hatchling", reason="needs the package hatchling")
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)]
    subprocess.run(command, cwd=SOURCE, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as file:
        file.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def test_an_sdist_holds_every_source(sdist: Path) -> None:
    parts = [path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file()]
    wanted = {path for path in parts if "__pycache__" not in path.parts and path.name != ".gitignore"}
    found = {path.relative_to(sdist) for path in sdist.rglob("*") if path.is_file()}
    assert wanted <= found
    assert {path.name for path in found - wanted} <= {"PKG-INFO", ".gitignore"}


def test_its_licence_is_that_of_thinkport() -> None:
    assert (SOURCE / "LICENSE").read_bytes() == (SOURCE.parents[1] / "LICENSE").read_bytes()


def test_a_python_of_musl_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_config_var", {"SOABI": "cpython-312-x86_64-linux-musl"}.get)
    with pytest.raises(SystemExit, match="no kernels for musl"):
        this_system()


@pytest.mark.long
def test_a_wheel_of_an_sdist_registers_its_operators(sdist: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=sdist, check=True, capture_output=True)
    with ZipFile(next(tmp_path.glob("*.whl"))) as file:
        assert [name for name in file.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(tmp_path / "site"), str(next(tmp_path.glob("*.whl")))], check=True)
    program = (
        "import onnxruntime, thinkport_kernels as own\n"
        "settings = onnxruntime.SessionOptions()\n"
        "settings.register_custom_ops_library(str(own.LIBRARY))\n"
        "print(own.LIBRARY)"
    )
    place = {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", program], env=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "site" / "thinkport_kernels"))

"""Bundles of real wheels: the one for this system installs and runs without a network, Windows' ones are complete.

Minutes, and wheels from pip's index: `pytest -m long tests/deploy/bundle`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from thinkport.deploy.bundle import BundleSettings, make_bundle
from thinkport.deploy.bundle.platform import PLATFORMS
from thinkport.deploy.bundle.wheel import requirements_of, unmet, wheels_in

if TYPE_CHECKING:
    from tests.adapters import Adapter

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ALONE = ["unshare", "--map-root-user", "--net"]


def unpacked(artifact: Path, folder: Path, settings: BundleSettings) -> Path:
    made = make_bundle(artifact, folder / "bundle.zip", settings)
    with ZipFile(made.path) as file:
        file.extractall(folder / "a folder")
    return folder / "a folder"


def needs_a_network_of_its_own() -> None:
    if sys.platform != "linux" or os.uname().machine != "x86_64" or shutil.which("unshare") is None:
        pytest.skip("needs Linux on x86_64 with unshare")
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network of their own")


def without_network(folder: Path, *words: str, **added: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | added
    environment["PYTHON"] = str(Path(sys.base_prefix) / "bin" / f"python{PYTHON}")
    command = [*ALONE, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_the_bundle_for_this_system_installs_and_runs_without_a_network(nano_artifact: Path, tmp_path: Path) -> None:
    needs_a_network_of_its_own()
    folder = unpacked(nano_artifact, tmp_path, BundleSettings(platform="linux-x86_64", provider="cpu", python=PYTHON))
    installed = without_network(folder, "sh", "install.sh")
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert "A load takes cpu.onnx" in installed.stdout
    program = str(folder / ".venv" / "bin" / "thinkport")
    answered = without_network(folder, program, "generate", "artifact", "What is 3 plus 4?", "--no-think")
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.strip()
    verified = without_network(folder, program, "verify", "artifact", "--full")
    assert verified.returncode == 0, verified.stdout


@pytest.mark.long
def test_the_bundle_with_webgpu_installs_and_answers_on_an_adapter_without_a_network(
    nano_artifact: Path, adapter: Adapter, tmp_path: Path
) -> None:
    needs_a_network_of_its_own()
    settings = BundleSettings(platform="linux-x86_64", provider="webgpu", python=PYTHON)
    folder, environment = unpacked(nano_artifact, tmp_path, settings), dict(adapter.environment)
    installed = without_network(folder, "sh", "install.sh", **environment)
    assert installed.returncode in (0, 1), installed.stdout + installed.stderr  # 1: with a warning
    assert "onnxruntime-ep-webgpu" in installed.stdout
    program, greedy = str(folder / ".venv" / "bin" / "thinkport"), ("--no-think", "--temperature", "0")
    # Its first load holds the graph against its goldens on the adapter, and nothing else may answer.
    asked = (program, "generate", "artifact", "What is 3 plus 4?", *greedy, "--provider")
    answered = without_network(folder, *asked, "webgpu", **environment)
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout == without_network(folder, *asked, "cpu-float32-kv").stdout


@pytest.mark.long
@pytest.mark.parametrize("provider", ["dml", "cpu", "webgpu"])
def test_a_bundle_for_windows_holds_all_that_its_wheels_require(
    nano_artifact: Path, tmp_path: Path, provider: str
) -> None:
    folder = unpacked(nano_artifact, tmp_path, BundleSettings(platform="win-amd64", provider=provider))
    wheels = wheels_in(folder / "wheels")
    wanted = requirements_of(
        [Requirement(f"thinkport[{provider},server]")], wheels, PLATFORMS["win-amd64"].environment("3.12")
    )
    assert not unmet(wanted, wheels)
    assert set(wanted) == set(wheels)
    # `download` holds wheels against the Python that is asked for, `install --dry-run` against the one that runs pip
    resolve = [sys.executable, "-m", "pip", "download", "--no-index", "--find-links", "wheels", "--dest", "resolved"]
    target = ["--only-binary", ":all:", "--platform", "win_amd64", "--python-version", "3.12"]
    pinned = ["--require-hashes", "-r", "requirements.txt"]
    done = subprocess.run([*resolve, *target, *pinned], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(wheels_in(folder / "resolved")) == set(wheels)

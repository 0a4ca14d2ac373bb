"""An x86 CPU without AVX2, emulated: the kernels fall back to the scalar set, which agrees with the checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.systems.conftest import PYTHON, System

from thinkport.deploy.bundle import BundleSettings, make_bundle


@pytest.mark.long
def test_a_cpu_without_avx2_runs_the_scalar_set(
    debian13: System, nano_artifact: Path, kernel_wheel: Callable[[str], Path], tmp_path: Path
) -> None:
    kernels = kernel_wheel("linux-x86_64").parent
    settings = BundleSettings(platform="linux-x86_64", provider="cpu", python=PYTHON, kernels=kernels)
    make_bundle(nano_artifact, tmp_path / "x86.zip", settings)
    folder = debian13.unpacked(tmp_path / "x86.zip", "x86-bundle")
    emulator = ["qemu-x86_64", "-cpu", "Nehalem", "-E", f"PYTHONPATH=/{folder.name}/site", "-E", "HOME=/tmp"]
    doctor = ["-m", "thinkport.runtime", "doctor", f"/{folder.name}/artifact", "--json"]
    done = debian13.run(*emulator, f"/usr/bin/python{PYTHON}", *doctor)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: with a warning
    examined: dict[str, Any] = json.loads(done.stdout)
    assert examined["facts"]["kernels"] == "scalar, the best of scalar on this CPU"
    attempts = [trial["attempt"] for trial in examined["trials"]]
    native = next(attempt for attempt in attempts if attempt["graph"] == "cpu-native.onnx")
    assert (native["outcome"], native["kernels"]) == ("checked", "scalar"), native

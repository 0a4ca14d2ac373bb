"""WebGPU's graphs at the size of 0.6B, on the plugin itself: a prompt and 8 steps, over 2 layers and over all 28.

float32 runs on this machine's adapter, float16 on Debian 13's lavapipe. Logits are held against PyTorch over the same
weights and against the float32 graph on the CPU provider, which rounds no products (accuracy level 0).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.export.parity.agreement import check_same
from tests.export.parity.dequantized import Dequantized
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import fresh_ids
from tests.systems.conftest import PYTHON
from tests.systems.steps import KEPT, STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from tests.adapters import Adapter
    from tests.systems.conftest import System

PROMPT = 24
DEPTHS = {2: ("--layers", "2"), 28: ()}


@pytest.fixture(scope="module", params=DEPTHS)
def checkpoint(request: pytest.FixtureRequest, made_up: Callable[..., Path]) -> Path:
    return made_up("0.6B", *DEPTHS[request.param])


@pytest.fixture(scope="module")
def artifact(checkpoint: Path, exported: Callable[..., Path]) -> Path:
    return exported(checkpoint, targets=("cpu", "webgpu"))


@pytest.fixture(scope="module")
def ids(artifact: Path) -> NDArray[np.int64]:
    return fresh_ids(151_936, PROMPT + STEPS)


@pytest.fixture(scope="module")
def expected(checkpoint: Path, artifact: Path, ids: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """The last rows by PyTorch and by the CPU provider."""
    rows = KEPT + STEPS
    on_cpu = Driver(artifact, file="webgpu-float32.onnx").step(ids[None])[0, -rows:]
    return {"PyTorch": Dequantized(checkpoint, artifact).logits(ids[None], keep=rows)[0], "CPU": on_cpu}


def check(found: NDArray[np.float32], expected: dict[str, NDArray[np.float32]], *, kl: float, error: float) -> None:
    for name, wanted in expected.items():
        print(f"against {name}:")
        assert relative(found, wanted) <= error
        check_same(found, wanted, bound=kl)


@pytest.mark.long
def test_float32_on_this_machines_adapter(
    adapter: Adapter, artifact: Path, ids: NDArray[np.int64], expected: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    np.save(tmp_path / "ids.npy", ids)
    program = [sys.executable, str(Path(__file__).with_name("steps.py")), str(artifact), "webgpu-float32.onnx"]
    command = [*program, str(tmp_path / "ids.npy"), str(tmp_path / "found.npy")]
    environment = os.environ | dict(adapter.environment)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    check(np.load(tmp_path / "found.npy"), expected, kl=1e-4, error=1e-3)


@pytest.mark.long
def test_float16_on_lavapipe(
    debian13: System,
    webgpu_bundle: Path,
    artifact: Path,
    ids: NDArray[np.int64],
    expected: dict[str, NDArray[np.float32]],
) -> None:
    folder = webgpu_bundle / "depth"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(artifact, folder / "artifact")
    shutil.copy(Path(__file__).with_name("steps.py"), folder)
    np.save(folder / "ids.npy", ids)
    inside = f"/{webgpu_bundle.name}/depth"
    files = [f"{inside}/artifact", "webgpu.onnx", f"{inside}/ids.npy", f"{inside}/found.npy"]
    done = debian13.run_on_lavapipe(webgpu_bundle, f"python{PYTHON}", f"{inside}/steps.py", *files)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    check(np.load(folder / "found.npy"), expected, kl=1e-3, error=0.05)

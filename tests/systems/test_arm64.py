"""ARM64, emulated: what a bundle for it installs says of an artifact, in an ARM64 Python with the aarch64 wheels.

It proves that the kernels of ARM64's instruction set agree with the checkpoint, and says nothing about speed.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from tests.systems.conftest import PYTHON, System

from thinkport.deploy.bundle import BundleSettings, make_bundle


@pytest.fixture(scope="session")
def arm64_bundle(debian13: System, nano_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for ARM64, unpacked within the Debian 13 folder, its wheels in `site`."""
    settings = BundleSettings(platform="linux-aarch64", provider="cpu", python=PYTHON)
    made = tmp_path_factory.mktemp("bundle") / "arm64.zip"
    make_bundle(nano_artifact, made, settings)
    return debian13.unpacked(made, "arm64-bundle")


@pytest.fixture(scope="session")
def arm64_kernels(debian13: System, kernel_wheel: Callable[[str], Path]) -> str:
    """The folder within the Debian 13 folder that thinkport-kernels is unpacked into, cross-compiled by Zig."""
    with ZipFile(kernel_wheel("linux-aarch64")) as file:
        file.extractall(debian13.folder / "arm64-kernels")
    return "/arm64-kernels"


def run_on_arm64(debian13: System, *arguments: str, kernels: str = "", cpu: str = "max") -> str:
    """What `thinkport` prints on ARM64; paths are those within the Debian 13 folder."""
    path = "/arm64-bundle/site" + (f":{kernels}" if kernels else "")
    emulator = ["qemu-aarch64", "-cpu", cpu, "-L", "/arm64", "-E", f"PYTHONPATH={path}", "-E", "HOME=/tmp"]
    program = [f"/arm64/usr/bin/python{PYTHON}", "-m", "thinkport.runtime", *arguments]
    done = debian13.run(*emulator, *program)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: with a warning
    return done.stdout


@pytest.mark.long
def test_every_graph_for_the_cpu_agrees_with_the_checkpoint_on_arm64(debian13: System, arm64_bundle: Path) -> None:
    examined: dict[str, Any] = json.loads(run_on_arm64(debian13, "doctor", "/arm64-bundle/artifact", "--json"))
    found = {trial["attempt"]["graph"]: trial["attempt"] for trial in examined["trials"]}
    assert {graph: one["outcome"] for graph, one in found.items()} == {
        "cpu.onnx": "checked",
        "cpu-float32-kv.onnx": "checked",
    }, found


@pytest.mark.long
def test_a_reply_on_arm64_is_that_of_this_machine(debian13: System, arm64_bundle: Path, nano_artifact: Path) -> None:
    from thinkport.runtime import Model

    question, greedy = "What is 86*57?", ("--temperature", "0", "--no-think")
    there = run_on_arm64(debian13, "generate", "/arm64-bundle/artifact", question, *greedy).strip()
    with Model.load(nano_artifact, provider="cpu") as model:
        here = model.generate(question, thinking=False, sampling={"temperature": 0.0}).answer
    assert there == here.strip()


@pytest.mark.long
@pytest.mark.parametrize(
    ("cpu", "kernels"), [("max", "neon_i8mm"), ("neoverse-n1", "neon_dotprod"), ("cortex-a53", "neon")]
)
def test_kernels_are_right_on_arm64(
    debian13: System, arm64_bundle: Path, arm64_kernels: str, cpu: str, kernels: str
) -> None:
    asked = ("doctor", "/arm64-bundle/artifact", "--json")
    examined: dict[str, Any] = json.loads(run_on_arm64(debian13, *asked, kernels=arm64_kernels, cpu=cpu))
    assert examined["facts"]["kernels"].startswith(f"{kernels}, the best of {kernels}, ")
    attempts = [trial["attempt"] for trial in examined["trials"]]
    native = next(attempt for attempt in attempts if attempt["graph"] == "cpu-native.onnx")
    assert (native["outcome"], native["kernels"]) == ("checked", kernels), native

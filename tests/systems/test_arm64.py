"""ARM64, emulated: what a bundle for it installs says of an artifact, in an ARM64 Python with the aarch64 wheels.

It proves that the kernels of ARM64's instruction set agree with the checkpoint, and says nothing about speed.
"""

import json
from pathlib import Path
from typing import Any

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


def run_on_arm64(debian13: System, *arguments: str) -> str:
    """What `thinkport` prints on ARM64; paths are those within the Debian 13 folder."""
    emulator = ["qemu-aarch64", "-L", "/arm64", "-E", "PYTHONPATH=/arm64-bundle/site", "-E", "HOME=/tmp"]
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

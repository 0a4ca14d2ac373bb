"""WebGPU in float16, on lavapipe: what a bundle for it installs says of both graphs, held against their own goldens.

It proves that the plugin's float16 kernels compute what the graph asks for, and says nothing about speed.
"""

import json
from pathlib import Path

import pytest
from tests.systems.conftest import PYTHON, System

from thinkport.deploy.bundle import BundleSettings, make_bundle


@pytest.mark.long
def test_both_graphs_for_webgpu_are_right_on_an_adapter_with_float16(
    debian13: System, nano_artifact: Path, tmp_path: Path
) -> None:
    made = tmp_path / "webgpu.zip"
    make_bundle(nano_artifact, made, BundleSettings(platform="linux-x86_64", provider="webgpu", python=PYTHON))
    debian13.unpacked(made, "webgpu-bundle")
    adapter = ["ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1", "XDG_RUNTIME_DIR=/tmp", "HOME=/tmp"]
    program = ["env", "PYTHONPATH=/webgpu-bundle/site", *adapter, f"python{PYTHON}", "-m", "thinkport.runtime"]
    done = debian13.run(*program, "doctor", "/webgpu-bundle/artifact", "--provider", "webgpu", "--json")
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: with a warning
    found = {trial["attempt"]["graph"]: trial["attempt"] for trial in json.loads(done.stdout)["trials"]}
    assert {graph: one["outcome"] for graph, one in found.items()} == {
        "webgpu.onnx": "checked",
        "webgpu-float32.onnx": "checked",
    }, found
    # lavapipe has 8 lanes a subgroup, where wider steps are wrong without an error
    assert all(
        "prefills in pieces of 31: steps of 192 tokens are wrong here" in one["reason"] for one in found.values()
    )

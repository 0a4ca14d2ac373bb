"""WebGPU in float16, on lavapipe: what a bundle for it installs says of both graphs, held against their own goldens.

It proves that the plugin's float16 kernels compute what the graph asks for, and says nothing about speed.
"""

import json
from pathlib import Path

import pytest
from tests.systems.conftest import PYTHON, System


@pytest.mark.long
def test_both_graphs_for_webgpu_are_right_on_an_adapter_with_float16(debian13: System, webgpu_bundle: Path) -> None:
    doctor = [f"python{PYTHON}", "-m", "thinkport.runtime", "doctor", f"/{webgpu_bundle.name}/artifact"]
    done = debian13.run_on_lavapipe(webgpu_bundle, *doctor, "--provider", "webgpu", "--json")
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
    assert "attention alone by 0." in found["webgpu.onnx"]["reason"]

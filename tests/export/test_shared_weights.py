"""One blob, several readers: the tied table, and q, k, v as row ranges of the packed projection."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRIVATE = """
import sys, onnxruntime as ort
def dirty():
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Private_Dirty"))
options = ort.SessionOptions()
options.log_severity_level = 3
before = dirty()
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
print(1024 * (dirty() - before))
"""


def external(model: onnx.ModelProto) -> dict[str, dict[str, str]]:
    """Where each initializer lies that is not in the graph file itself."""
    return {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data}
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }


def test_the_tied_table_is_one_blob_read_in_two_shapes(nano_artifact: Path) -> None:
    model = onnx.load(nano_artifact / "cpu.onnx", load_external_data=False)
    places = external(model)
    table, head = places["model.embed_tokens.table"], places["model.embed_tokens.qweight"]
    dims = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    assert table == head
    assert len(dims["model.embed_tokens.table"]) == 2
    assert len(dims["model.embed_tokens.qweight"]) == 3
    assert all(node.input[0] not in places for node in model.graph.node if node.op_type == "Reshape")


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from Linux's /proc")
def test_the_tied_table_is_not_held_twice_in_memory(
    made_up: Callable[..., Path], exported: Callable[..., Path]
) -> None:
    artifact = exported(made_up("0.6B", "--layers", "2"))
    weights = (artifact / "weights.bin").stat().st_size
    table = 151936 * 1024 // 2
    command = [sys.executable, "-c", PRIVATE, str(artifact / "cpu.onnx")]
    private = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"private {private / 1e6:.0f} MB, weights {weights / 1e6:.0f} MB, table {table / 1e6:.0f} MB")
    assert private < weights + table / 2  # once packed by MLAS; twice would be at least a table more


def projection(rows: int, columns: int, group: int, codes: tuple[int, int], scales: tuple[int, int]) -> bytes:
    """A model of one MatMulNBits over byte ranges of weights.bin."""
    shapes = {"B": (TensorProto.UINT8, [rows, columns // group, group // 2], codes)}
    shapes["scales"] = (TensorProto.FLOAT, [rows, columns // group], scales)
    tensors = []
    for name, (dtype, dims, (offset, length)) in shapes.items():
        tensor = TensorProto(name=name, data_type=dtype, dims=dims, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "weights.bin"), ("offset", str(offset)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        tensors.append(tensor)
    node = helper.make_node(
        "MatMulNBits", ["x", "B", "scales"], ["y"], domain="com.microsoft",
        K=columns, N=rows, bits=4, block_size=group, accuracy_level=0,
    )  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, columns])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, rows])
    graph = helper.make_graph([node], "projection", [x], [y], tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_q_k_and_v_are_row_ranges_of_the_packed_codes_and_scales(
    nano_artifact: Path, tmp_path: Path, exported: Callable[..., Path]
) -> None:
    places = external(onnx.load(nano_artifact / "cpu.onnx", load_external_data=False))
    codes = places["model.layers.1.self_attn.qkv_proj.qweight"]
    scales = places["model.layers.1.self_attn.qkv_proj.scales"]
    columns, group, heads = 256, 64, {"q": 512, "k": 256, "v": 256}
    shutil.copy(nano_artifact / "weights.bin", tmp_path)
    x = np.random.default_rng().standard_normal((3, columns), dtype=np.float32)

    def run(rows: int, start: int) -> np.ndarray:
        code_bytes, scale_bytes = columns // 2, columns // group * 4
        at = int(codes["offset"]) + start * code_bytes, rows * code_bytes
        beside = int(scales["offset"]) + start * scale_bytes, rows * scale_bytes
        assert at[0] % 4096 == 0
        assert beside[0] % 4096 == 0
        onnx.save(projection(rows, columns, group, at, beside), tmp_path / "part.onnx")
        return ort.InferenceSession(tmp_path / "part.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]

    starts = np.cumsum([0, *heads.values()])[:-1]
    parts = [run(rows, int(start)) for rows, start in zip(heads.values(), starts, strict=True)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), run(sum(heads.values()), 0), rtol=1e-5, atol=1e-5)

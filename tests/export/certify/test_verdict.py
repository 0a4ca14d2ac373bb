"""A graph tells whether it is rounded."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from thinkport.export.certify.judging import is_exact
from thinkport.runtime.artifact.manifest import Graph, KvLayout


def graph_of(kv: KvLayout) -> Graph:
    return Graph(
        file="cpu.onnx",
        target="cpu",
        providers=["CPUExecutionProvider"],
        onnxruntime_floor="1.32",
        fused=True,
        nodes=0,
        kv=kv,
        inputs=[],
        outputs=[],
        several_tokens_over_past=True,
        prefill_chunk=128,
    )


def write(folder: Path, dtype: type[np.generic]) -> None:
    """A graph without nodes and with two initializers over the same 4,096 bytes of one file."""
    (folder / "weights.bin").write_bytes(bytes(4096))
    graph = ir.Graph([], [], nodes=[], name="weights only", opset_imports={"": 21})
    for name in ("a", "b"):
        kind = ir.DataType.from_numpy(np.dtype(dtype))
        tensor = ir.ExternalTensor("weights.bin", 0, 512, kind, name=name, shape=ir.Shape([64]), base_dir=folder)
        graph.register_initializer(ir.Value(name=name, const_value=tensor, type=ir.TensorType(kind)))
    ir.save(ir.Model(graph, ir_version=10), folder / "cpu.onnx")


FLOAT_CACHE, BYTE_CACHE = KvLayout(dtype="float32", in_place=True), KvLayout(dtype="int8", in_place=True)


@pytest.mark.parametrize(
    ("dtype", "kv", "expected"),
    [(np.float32, FLOAT_CACHE, True), (np.uint8, FLOAT_CACHE, False), (np.float32, BYTE_CACHE, False)],
    ids=["whole", "rounded weights", "rounded cache"],
)
def test_a_graph_is_exact_where_neither_weights_nor_cache_are_rounded(
    tmp_path: Path, dtype: type[np.generic], kv: KvLayout, expected: bool
) -> None:
    write(tmp_path, dtype)
    assert is_exact(tmp_path, graph_of(kv)) == expected

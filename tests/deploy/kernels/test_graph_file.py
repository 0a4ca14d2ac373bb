"""The reader of ONNX files against onnx itself."""

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from thinkport.deploy.kernels.graph_file import DTYPES, read_graph
from thinkport.runtime.errors import ArtifactError


def random_model() -> onnx.ModelProto:
    tensors = [
        numpy_helper.from_array(np.zeros(random.choices(range(5), k=random.randrange(4)), dtype), f"w{at}")
        for at, dtype in enumerate((np.float32, np.float16, np.int64, np.uint8, np.bool_))
    ]
    nodes = []
    for at in range(random.randrange(1, 30)):
        number = random.randrange(-(2**63), 2**63)
        settings: dict[str, Any] = {"i": number, "f": random.choice((0.5, -2.0)), "s": "ä", "list": [1, 2, 3]}
        chosen = dict(random.sample(sorted(settings.items(), key=str), random.randrange(5)))
        inputs = random.choices(["", "x", "w0", "ünïcode"], k=random.randrange(6))
        domain = random.choice(["", "ai.onnx", "com.microsoft"])
        nodes.append(helper.make_node(f"Op{at}", inputs, [f"y{at}", ""], f"n{at}", domain=domain, **chosen))
    feeds = [helper.make_tensor_value_info("x", TensorProto.BFLOAT16, ["batch", 3])]
    notes = [helper.make_tensor_value_info("y0", TensorProto.INT8, None)]
    body = helper.make_graph(nodes, "g", feeds, [], initializer=tensors, value_info=notes)
    opsets = [helper.make_opsetid("ai.onnx", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=opsets)


def test_nodes_types_and_sizes_are_read_as_onnx_reads_them() -> None:
    model = random_model()
    graph = read_graph(model.SerializeToString())
    assert graph.opsets == {"": 21, "com.microsoft": 1}
    assert graph.noted == {"y0": "int8"}
    assert graph.dtypes["x"] == "bfloat16"
    for tensor in model.graph.initializer:
        assert graph.sizes[tensor.name] == int(np.prod(tensor.dims))
        assert DTYPES[tensor.data_type] == graph.dtypes[tensor.name]
    for read, node in zip(graph.nodes, model.graph.node, strict=True):
        assert (read.name, read.op) == (node.name, node.op_type)
        assert read.domain == node.domain.removeprefix("ai.onnx")
        assert (list(read.inputs), list(read.outputs)) == (list(node.input), list(node.output))
        values = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        plain = {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}
        assert read.attributes == {name: None if name == "list" else value for name, value in plain.items()}


def test_dtypes_are_numbered_as_onnx_numbers_them() -> None:
    names = {number: name.lower() for name, number in TensorProto.DataType.items()}
    assert [names[number] for number in range(len(DTYPES))] == list(DTYPES)


def test_external_data_is_not_opened(tmp_path: Path) -> None:
    model = random_model()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(300, np.float32), "heavy"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    assert read_graph(path).sizes["heavy"] == 300


SHORT_FLOAT = b"\x3a\x0c\x0a\x0a\x2a\x08\x0a\x01a\x12\x03\0\0\0"  # a graph, a node, an attribute of 3 bytes


@pytest.mark.parametrize(
    "raw", [b"", b"\x08\x0a", b"not a model at all", SHORT_FLOAT, random_model().SerializeToString()[:-3]]
)
def test_what_is_no_whole_model_is_an_error_in_words(raw: bytes) -> None:
    with pytest.raises(ArtifactError, match="can't be read as an ONNX graph"):
        read_graph(raw)


def test_damaged_bytes_end_in_no_other_error() -> None:
    whole = random_model().SerializeToString()
    graphs = 0
    for _ in range(300):
        raw = bytearray(whole)
        for at in random.choices(range(len(raw)), k=random.choice((1, 3, 9))):
            raw[at] = random.randrange(256)
        with suppress(ArtifactError):
            read_graph(bytes(raw))
            graphs += 1
    assert graphs < 300


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"gone\.onnx can't be read"):
        read_graph(tmp_path / "gone.onnx")

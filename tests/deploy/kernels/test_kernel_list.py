"""The kernel lists: what they hold, how they are looked up, and that they are what ONNX Runtime says."""

import json
from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as state
from tests.deploy.kernels.graphs import FLOAT, HALF, INT64, MICROSOFT, attention, graph

from thinkport.deploy import targets
from thinkport.deploy.kernels import collect, probe
from thinkport.deploy.kernels.check import find_dtypes
from thinkport.deploy.kernels.graph_file import read_graph
from thinkport.deploy.kernels.kernel_list import DATA, Kernel, kernel_list, versions

CPU = targets.CPU.name

DOCUMENT = """
## Operators implemented by CUDAExecutionProvider

|Op Name|Parameters|OpSet Version|Types Supported|
|**Operator Domain:** *ai.onnx*||||
|Add|*in* A:**T**|14+|**T** = tensor(float16)|

## Operators implemented by DmlExecutionProvider

|Op Name|Parameters|OpSet Version|Types Supported|
|**Operator Domain:** *ai.onnx*||||
|Gather|*in* data:**T**|13+|**T** = tensor(float), seq(tensor(int8))<br/> **I** = tensor(int32), tensor(int64)|
|||[11, 12]|**T** = tensor(float)|
|||10|**T** = tensor(float)|
|**Operator Domain:** *com.microsoft*||||
|Gelu|*in* X:**T**|1+|**T** = tensor(float), tensor(float16)|
|**Operator Domain:** *ai.onnx.ml*||||
|Scaler|*in* X:**T**|1+|**T** = tensor(float)|
"""


def test_onnx_runtimes_table_of_kernels_is_read_row_by_row() -> None:
    assert list(collect.document_rows(DOCUMENT, "DmlExecutionProvider")) == [
        ("", "Gather", 13, None, {"T": ["float"], "I": ["int32", "int64"]}),
        ("", "Gather", 11, 12, {"T": ["float"]}),
        ("", "Gather", 10, 10, {"T": ["float"]}),
        ("com.microsoft", "Gelu", 1, None, {"T": ["float", "float16"]}),
    ]


def test_the_list_of_the_installed_version_is_what_that_build_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = onnxruntime.__version__
    if version not in versions(CPU):
        pytest.skip(f"no list of onnxruntime {version}")
    monkeypatch.setattr(collect, "DATA", tmp_path)
    rows = collect.build_rows(state.get_all_opkernel_def(), "CPUExecutionProvider")
    collect.write_kernels(CPU, version, kernel_list(CPU, version).source, rows)
    name = f"cpu-{version}.json"
    now, then = (kernels_of(folder / name) for folder in (tmp_path, DATA))
    assert {key for key in then if now.get(key) != then[key]} == set()


def kernels_of(path: Path) -> dict[str, set[tuple[object, ...]]]:
    content = json.loads(path.read_bytes())
    kinds = content["types"]
    return {
        key: {(first, last, tuple((name, kinds[at]) for name, at in types.items())) for first, last, types in rows}
        for key, rows in content["kernels"].items()
    }


@pytest.mark.parametrize("target", targets.TARGETS)
def test_each_list_names_its_source_and_the_cpu_of_its_version_is_there(target: str) -> None:
    for version in versions(target):
        found = kernel_list(target, version)
        assert found.version == version
        assert found.source
        assert kernel_list(CPU, version).version == version
        assert found.of(MICROSOFT, "GroupQueryAttention")
        assert found.schema(MICROSOFT, "MatMulNBits", 1)


def test_the_newest_list_that_is_not_newer_than_a_version_is_taken() -> None:
    assert [kernel_list(CPU, version).version for version in ("1.24", "1.26", "1.27", "1.31.1", "1.40")] == [
        "1.24.4",
        "1.24.4",
        "1.27.0",
        "1.31.1",
        versions(CPU)[-1],
    ]
    assert kernel_list("dml").version == "1.24.4"


def test_a_kernel_without_a_last_version_runs_its_first_alone() -> None:
    assert Kernel(first=13, last=None, types={}).covers(13)
    assert not Kernel(first=13, last=None, types={}).covers(14)
    assert Kernel(first=11, last=12, types={}).covers(12)


def test_a_schema_is_that_of_the_opset() -> None:
    found = kernel_list(CPU)
    since = [schema.since if (schema := found.schema("", "Reshape", opset)) else None for opset in (18, 19, 21, 23)]
    assert since == [14, 19, 21, 23]
    assert found.schema("", "Reshape", 1) is None
    assert found.schema("", "NoSuchThing", 21) is None


def test_dtypes_go_through_operators_that_onnx_does_not_know() -> None:
    found = find_dtypes(read_graph(attention(dtype=HALF, cache=HALF)), kernel_list("dml"))
    assert {name: found[name] for name in ("y", "new_k", "new_v")} == dict.fromkeys(("y", "new_k", "new_v"), "float16")


def test_an_attribute_decides_where_the_operator_lets_it() -> None:
    value = helper.make_tensor("v", INT64, [1], [3])
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["cast"], to=HALF),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ConstantOfShape", ["shape"], ["threes"], value=value),
    ]
    found = find_dtypes(read_graph(graph(*nodes, x=FLOAT)), kernel_list(CPU))
    assert [found[name] for name in ("shape", "cast", "zeros", "threes")] == ["int64", "float16", "float", "int64"]


def test_kernels_are_found_by_trying_a_model_of_one_node_a_dtype() -> None:
    asked: list[onnx.ModelProto] = []

    def loads(raw: bytes) -> bool:
        asked.append(onnx.load_from_string(raw))
        onnx.checker.check_model(asked[-1])
        return asked[-1].graph.input[0].type.tensor_type.elem_type in (FLOAT, HALF)

    (shape,) = [one for one in probe.PROBES if one.name == "Concat"]
    assert list(probe.rows(loads, [shape])) == [("", "Concat", 13, None, {"T": ["float", "float16"]})]
    assert {len(model.graph.node) for model in asked} == {1}
    assert list(probe.rows(lambda _: False, [shape])) == []


@pytest.mark.parametrize("one", probe.PROBES, ids=lambda one: one.name)
def test_a_model_that_is_tried_is_one_that_onnx_runtime_takes_on_the_cpu(one: probe.Probe) -> None:
    """Else a provider would refuse the model, not the operator."""

    def loads(raw: bytes) -> bool:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
        except Exception:
            return False
        return True

    assert [row[2] for row in probe.rows(loads, [one])] == list(one.versions)

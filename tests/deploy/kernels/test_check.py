"""Each thing that keeps a node from its provider, on a graph made for it."""

from collections.abc import Mapping

import pytest
from onnx import TensorProto, helper
from tests.deploy.kernels.graphs import FLOAT, HALF, INT8, INT32, INT64, MICROSOFT, UINT8, attention, graph, matmul

from thinkport.deploy.kernels import check
from thinkport.deploy.kernels.requirements import REQUIREMENTS
from thinkport.runtime.errors import InputError


def norm(*outputs: str) -> bytes:
    inputs = {"x": HALF, "skip": HALF, "weight": HALF}
    op = "SkipSimplifiedLayerNormalization"
    return graph(
        helper.make_node(op, list(inputs), outputs, "norm", domain=MICROSOFT), noted={"scale": FLOAT}, **inputs
    )


def plain_norm(*outputs: str) -> bytes:
    node = helper.make_node("SimplifiedLayerNormalization", ["x", "weight"], outputs, "norm")
    return graph(node, noted={"scale": HALF}, x=HALF, weight=HALF)


def only(raw: bytes, target: str, version: str | None = None) -> tuple[str, str]:
    (verdict,) = check(raw, target, version=version).verdicts
    return verdict.place, "; ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("target", "dtype"), [("cpu", FLOAT), ("dml", FLOAT), ("dml", HALF), ("cuda", HALF), ("webgpu", HALF)]
)
def test_plain_attention_and_products_run_everywhere(target: str, dtype: int) -> None:
    assert only(attention(dtype=dtype), target)[0] == "runs"
    assert only(matmul(dtype=dtype), target)[0] == "runs"


BROKEN: list[tuple[str, str | None, bytes, str, str]] = [
    (
        "dml",
        None,
        attention(without=("k", "v")),
        "refused",
        "no key (input 1) and value (input 2); DirectML takes",
    ),
    (
        "dml",
        None,
        attention(do_rotary=1),
        "refused",
        "do_rotary is 1; DirectML computes as if it were 0",
    ),
    ("dml", None, attention(softcap=30.0), "refused", "softcap is 30.0; DirectML computes as if it weren't there"),
    ("dml", None, attention(local_window_size=512), "refused", "local_window_size is 512; DirectML computes"),
    ("dml", None, attention(smooth_softmax=1), "refused", "smooth_softmax is 1; DirectML computes"),
    ("dml", None, attention(also={10: HALF}), "refused", "it has attention_bias (input 10); DirectML computes"),
    (
        "dml",
        None,
        attention(also={12: FLOAT, 13: FLOAT}),
        "refused",
        "k_scale (input 12) and v_scale (input 13)",
    ),
    ("dml", None, attention(also={14: HALF, 15: HALF}), "refused", "DirectML does not normalize Q and K inside"),
    ("dml", None, attention(cache=INT8), "refused", "its past_key is int8; DirectML has no quantized KV cache"),
    ("dml", None, matmul(bits=2), "leaves", "bits is 2; DirectML's kernel takes 4 or 8"),
    ("dml", None, matmul(K=200), "leaves", "block_size 64 does not divide K 200; DirectML's kernel takes whole blocks"),
    ("dml", None, matmul(block_size=512, K=1024), "refused", "block_size is 512; the operator takes powers of two"),
    ("dml", None, matmul(also={3: HALF}), "refused", "its zero_points is float16; DirectML reads its bytes"),
    ("dml", None, matmul(also={4: INT32}), "refused", "it has g_idx (input 4); DirectML's kernel refuses"),
    ("dml", None, matmul(also={5: HALF}), "refused", "it has bias (input 5); DirectML's kernel refuses"),
    ("dml", None, norm("y", "", "scale"), "leaves", "gives inv_std_var (output 2); DirectML's kernel gives the norm"),
    ("dml", None, plain_norm("y", "scale"), "leaves", "DirectML's kernel has one output"),
    ("cpu", "1.32", attention(dtype=FLOAT, also={14: FLOAT, 15: FLOAT}), "refused", "the CPU's kernel rejects it"),
    ("cpu", "1.24", attention(dtype=FLOAT, cache=INT8), "refused", "its past_key is int8; a quantized KV cache runs"),
    (
        "cpu",
        "1.32",
        attention(
            dtype=FLOAT, cache=INT8, also={12: FLOAT, 13: FLOAT}, k_quant_type="PER_TENSOR", v_quant_type="PER_CHANNEL"
        ),
        "refused",
        "its k_quant_type is PER_TENSOR and its v_quant_type PER_CHANNEL; the CPU's kernel takes one form",
    ),
    ("cpu", "1.32", matmul(dtype=FLOAT, block_size=512, K=1024), "refused", "wider blocks silently gave zeros"),
    (
        "webgpu",
        None,
        attention(without=("k", "v"), also={14: HALF, 15: HALF}),
        "refused",
        "no key (input 1) and value (input 2); the plugin normalizes Q and K apart",
    ),
    ("webgpu", None, attention(cache=INT8), "refused", "its past_key is int8; the plugin loads an int8 cache and"),
]


@pytest.mark.parametrize(("target", "version", "raw", "place", "says"), BROKEN, ids=[each[-1][:40] for each in BROKEN])
def test_what_a_provider_asks_for_beside_a_kernel(
    target: str, version: str | None, raw: bytes, place: str, says: str
) -> None:
    found, sentence = only(raw, target, version)
    assert found == place
    assert says in sentence


def test_every_requirement_is_broken_by_one_of_these_graphs() -> None:
    said = " ".join(only(raw, target, version)[1] for target, version, raw, _, _ in BROKEN)
    assert [entry for entry in REQUIREMENTS if entry.because not in said] == []


def test_an_int8_cache_is_taken_by_the_cpu_from_1_27_on_only() -> None:
    raw = attention(
        dtype=FLOAT, cache=INT8, also={12: FLOAT, 13: FLOAT}, k_quant_type="PER_CHANNEL", v_quant_type="PER_CHANNEL"
    )
    assert only(raw, "cpu", "1.27") == ("runs", "")
    place, sentence = only(raw, "cpu", "1.24")
    assert place == "refused"
    assert "it has 14 inputs, and ONNX Runtime 1.24.4 knows 12" in sentence
    assert "ONNX Runtime 1.24.4 does not know its k_quant_type, v_quant_type" in sentence


def test_a_newer_version_of_an_operator_leaves_a_gpu_that_has_the_older_ones() -> None:
    add = helper.make_node("Reshape", ["x", "shape"], ["y"], "view")
    inputs = {"x": HALF, "shape": INT64}
    assert only(graph(add, opset=21, **inputs), "dml")[0] == "runs"
    place, sentence = only(graph(add, opset=23, **inputs), "dml")
    assert place == "leaves"
    assert "has Reshape for versions" in sentence
    assert "and the graph's is 23" in sentence


def test_a_dtype_that_no_kernel_takes_is_named_with_those_it_takes() -> None:
    place, sentence = only(attention(dtype=FLOAT), "cuda")
    assert place == "leaves"
    assert "query as bfloat16 or float16, not float" in sentence


def test_numbers_of_tokens_are_counted_on_the_cpu_where_a_provider_has_no_int64() -> None:
    subtract = helper.make_node("Sub", ["total", "one"], ["y"], "count")
    place, sentence = only(graph(subtract, total=INT64, one=INT64), "webgpu")
    assert place == "allowed"
    assert "numbers of tokens are counted there" in sentence
    assert only(graph(subtract, total=INT64, one=INT64), "dml")[0] == "runs"
    double = helper.make_node("Cast", ["x"], ["y"], "widen", to=TensorProto.DOUBLE)
    assert only(graph(double, x=HALF), "webgpu")[0] == "leaves"


def test_an_operator_without_a_kernel_leaves_and_one_that_is_planned_is_allowed() -> None:
    lookup = helper.make_node(
        "GatherBlockQuantized", ["table", "ids", "scales"], ["y"], "embed", domain=MICROSOFT, bits=4, block_size=32
    )
    raw = graph(lookup, table=UINT8, ids=INT64, scales=FLOAT)
    assert only(raw, "dml")[0] == "allowed"
    (captured,) = check(raw, "dml", allowed={}).leaving
    assert captured.place == "leaves"
    assert "DmlExecutionProvider of 1.24.4 has no GatherBlockQuantized" in captured.reasons[0]
    assert check(raw, "cuda").leaving == ()


def test_what_neither_the_provider_nor_the_cpu_runs_is_refused() -> None:
    sigmoid = helper.make_node("Sigmoid", ["x"], ["y"], "act")
    place, sentence = only(graph(sigmoid, x=TensorProto.BFLOAT16), "dml")
    assert place == "refused"
    assert "DmlExecutionProvider of 1.24.4 takes X as float or float16, not bfloat16" in sentence
    assert "CPUExecutionProvider of 1.24.4 takes X as float, not bfloat16" in sentence


@pytest.mark.parametrize(
    ("node", "inputs", "says"),
    [
        (helper.make_node("Nonsense", ["x"], ["y"]), {"x": HALF}, "no such operator in ai.onnx 21"),
        (helper.make_node("Neg", ["x"], ["y"], fast=1), {"x": HALF}, "does not know its fast"),
        (helper.make_node("Cast", ["x"], ["y"]), {"x": HALF}, "it lacks to"),
        (helper.make_node("Add", ["x"], ["y"]), {"x": HALF}, "it lacks B"),
        (helper.make_node("Neg", ["x", "x"], ["y"]), {"x": HALF}, "it has 2 inputs, and ONNX Runtime 1.24.4 knows 1"),
        (helper.make_node("Reshape", ["x", "n"], ["y"]), {"x": HALF, "n": INT32}, "its shape is int32, expected int64"),
        (helper.make_node("Neg", ["unheard"], ["y"]), {}, "not a type that can not be told"),
    ],
)
def test_what_onnx_runtime_would_not_even_load_is_refused(node: object, inputs: Mapping[str, int], says: str) -> None:
    place, sentence = only(graph(node, **inputs), "dml")  # type: ignore[arg-type]
    assert place == "refused"
    assert says in sentence


def test_what_is_computed_from_shapes_is_kept_on_the_cpu_and_does_not_count_as_leaving() -> None:
    nodes = [
        helper.make_node("Shape", ["mask"], ["shape"]),
        helper.make_node("Squeeze", ["shape"], ["length"]),
        helper.make_node("Cast", ["length"], ["total"], to=INT32),
        helper.make_node("Add", ["x", "x"], ["sum"]),
        helper.make_node("Reshape", ["sum", "shape"], ["y"]),
    ]
    report = check(graph(*nodes, mask=INT64, x=HALF), "dml")
    assert [verdict.place for verdict in report.verdicts] == ["runs", "kept", "kept", "runs", "runs"]
    assert report.leaving == ()


def test_a_small_constant_does_not_move_a_computation_from_the_cpu_and_a_large_one_does() -> None:
    nodes = [helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Add", ["shape", "c"], ["y"])]
    for count, place in ((100, "kept"), (101, "runs")):
        assert check(graph(*nodes, constants={"c": (INT64, count)}, x=HALF), "dml").verdicts[1].place == place


def test_nodes_alike_are_one_problem_with_their_number() -> None:
    nodes = [helper.make_node("Reshape", ["x", "n"], [f"y{at}"], f"view{at}") for at in range(3)]
    (problem,) = check(graph(*nodes, opset=23, x=HALF, n=INT64), "dml").problems
    assert problem.startswith("Reshape 'view0' and 2 more would leave for the CPU on onnxruntime-directml 1.24.4: ")


def test_an_unknown_target_or_too_old_a_runtime_is_an_error_in_words() -> None:
    with pytest.raises(InputError, match="no kernel list for target 'npu', expected one of: cpu, dml, cuda, webgpu"):
        check(attention(), "npu")
    with pytest.raises(InputError, match=r"ONNX Runtime 1\.18 are not known for cpu: the oldest are 1\.24\.4's"):
        check(attention(), "cpu", version="1.18")

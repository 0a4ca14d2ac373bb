"""Packing: a round trip, and the same bytes and products that ONNX Runtime has."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from thinkport.export.quantize.packing import dequantize, pack, packed_shape, unpack
from thinkport.export.quantize.rounding import quantize_rows

N, K = 24, 256
Arrays = Mapping[str, NDArray[Any]]


def weights() -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal((N, K), dtype=np.float32)


def run(node: onnx.NodeProto, inputs: Arrays, fixed: Arrays) -> NDArray[np.float32]:
    """The output of a graph of one node, as ONNX Runtime computes it on CPU."""
    graph = helper.make_graph(
        [node],
        "one_node",
        [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in inputs.items()
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in fixed.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0])


@given(
    st.integers(1, 5), st.integers(1, 4), st.sampled_from([4, 8]), st.sampled_from([32, 64, 128]), st.integers(0, 99)
)
def test_unpacking_gives_back_the_codes(n: int, blocks: int, bits: int, group: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 2**bits, (n, 128 * blocks)).astype(np.uint8)
    packed = pack(codes, bits=bits, group_size=group)
    assert packed.shape == packed_shape(n, 128 * blocks, bits=bits, group_size=group)
    np.testing.assert_array_equal(unpack(packed, bits=bits), codes)


def test_the_even_column_is_in_the_low_four_bits() -> None:
    codes = np.zeros((1, 32), np.uint8)
    codes[0, :4] = 1, 2, 3, 15
    assert pack(codes, bits=4, group_size=32)[0, 0, :3].tolist() == [0x21, 0xF3, 0]


def test_a_range_of_rows_is_the_same_range_of_bytes() -> None:
    rounded = quantize_rows(weights(), bits=4, group_size=64)
    whole = pack(rounded.codes, bits=4, group_size=64).tobytes()
    part = pack(rounded.codes[5:9], bits=4, group_size=64).tobytes()
    assert whole[5 * K // 2 : 9 * K // 2] == part


@pytest.mark.parametrize("group", [32, 64, 128])
def test_plain_rounding_packs_to_the_bytes_and_scales_of_the_runtimes_own_kernel(group: int) -> None:
    from onnxruntime.capi import _pybind_state as kernels

    packed = np.zeros(packed_shape(N, K, bits=4, group_size=group), np.uint8)
    scales = np.zeros(N * K // group, np.float32)
    unused = np.zeros(N * ((K // group + 1) // 2), np.uint8)
    kernels.quantize_matmul_4bits(packed, np.ascontiguousarray(weights().T), scales, unused, group, N, K, True)
    ours = quantize_rows(weights(), bits=4, group_size=group)
    np.testing.assert_allclose(ours.scales.reshape(-1), scales, rtol=1e-6)
    # The kernel rounds halves up and numpy to even: a tie may fall to either side.
    difference = unpack(packed, bits=4).astype(int) - ours.codes
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-3


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("bits", [4, 8])
def test_matmulnbits_computes_with_exactly_these_weights(bits: int, group: int) -> None:
    rounded = quantize_rows(weights(), bits=bits, group_size=group)
    packed = pack(rounded.codes, bits=bits, group_size=group)
    sizes: dict[str, Any] = {"K": K, "N": N, "bits": bits, "block_size": group, "accuracy_level": 0}
    node = helper.make_node("MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft", **sizes)
    x = np.random.default_rng(4).standard_normal((3, K), dtype=np.float32)
    found = run(node, {"x": x}, {"b": packed, "s": rounded.scales})
    expected = x @ dequantize(packed, rounded.scales, bits=bits).T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_embedding_reads_the_same_bytes_as_the_matrix() -> None:
    rounded = quantize_rows(weights(), bits=4, group_size=64)
    packed = pack(rounded.codes, bits=4, group_size=64)
    settings: dict[str, Any] = {"bits": 4, "block_size": 64, "gather_axis": 0, "quantize_axis": 1}
    node = helper.make_node("GatherBlockQuantized", ["b", "ids", "s"], ["y"], domain="com.microsoft", **settings)
    ids = np.array([7, 0, 23], np.int64)
    found = run(node, {"ids": ids}, {"b": packed.reshape(N, K // 2), "s": rounded.scales})
    np.testing.assert_array_equal(found, dequantize(packed, rounded.scales, bits=4)[ids])

"""Layouts of packed weights, from tables worked out by hand: what each word means, without the format's library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from thinkport.export.checkpoint.quantized import check_method, with_decoded
from thinkport.export.checkpoint.safetensors_file import TensorEntry, read_header
from thinkport.export.errors import CheckpointError, UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path


def words(*rows: list[int]) -> np.ndarray:
    """int32 words from their bits."""
    return np.array(rows, np.uint32).view(np.int32)


def decoded(folder: Path, quantization: dict[str, Any], **parts: np.ndarray) -> TensorEntry:
    """The one weight of a checkpoint of one module `m`, by the names of its parts."""
    save_file({f"m.{part}": array for part, array in parts.items()}, folder / "model.safetensors")
    config = {"quantization_config": quantization}
    check_method(config)
    return with_decoded(read_header(folder / "model.safetensors"), config)["m.weight"]


# Eight inputs, eight outputs, one group. Output 0 holds the codes 0 to 7 of its inputs, output 1 those from 15 down to
# 8, output 2 fives; the others hold eights.
GPTQ = {
    "qweight": words([0x76543210, 0x89ABCDEF, 0x55555555, *[0x88888888] * 5]),
    "scales": np.array([[0.5, 2.0, -1.0, 1, 1, 1, 1, 1]], np.float16),
}
# Of the zero points 8, 1, 9, 8, 8, 8, 8, 8 the first format stores 7, 0, 8, 7, 7, 7, 7, 7, output 0 in the low bits.
FIRST, SECOND = words([0x77777807]), words([0x88888918])


@pytest.mark.parametrize(("kind", "zeros"), [("gptq", FIRST), ("gptq_v2", SECOND)])
def test_gptq_packs_codes_along_inputs_and_points_along_outputs(tmp_path: Path, kind: str, zeros: np.ndarray) -> None:
    config = {"quant_method": "gptq", "bits": 4, "checkpoint_format": kind}
    weight = decoded(tmp_path, config, qzeros=zeros, **GPTQ)
    found = weight.rows(0, 8)
    np.testing.assert_array_equal(found[0], [-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5])  # (0 - 8) / 2, (1 - 8) / 2, …
    np.testing.assert_array_equal(found[1], [28, 26, 24, 22, 20, 18, 16, 14])  # (15 - 1) * 2, (14 - 1) * 2, …
    np.testing.assert_array_equal(found[2], [4] * 8)  # -(5 - 9)
    np.testing.assert_array_equal(found[3:], np.zeros((5, 8)))
    np.testing.assert_array_equal(weight.rows(1, 3), found[1:3])


def test_gptq_in_the_order_of_activations_names_the_group_of_each_input(tmp_path: Path) -> None:
    config = {"quant_method": "gptq", "bits": 4}
    parts = {
        "qweight": words([0x99999999] * 8),  # ones, of the point 8
        "qzeros": words([0x77777777], [0x77777777]),
        "scales": np.array([[1] * 8, [3] * 8], np.float16),
        "g_idx": np.array([1, 0, 0, 1, 1, 0, 1, 0], np.int32),
    }
    weight = decoded(tmp_path, config, **parts)
    np.testing.assert_array_equal(weight.rows(2, 3), [[3, 1, 1, 3, 3, 1, 3, 1]])
    assert (weight.form, "act-order" in str(weight.obstacle)) == (None, True)


def test_a_bias_of_zeros_is_none_and_another_one_stays(tmp_path: Path) -> None:
    config = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    file = tmp_path / "model.safetensors"
    parts = {f"m.{part}": array for part, array in {"qzeros": FIRST, **GPTQ}.items()}
    for bias, names in ((np.zeros(8, np.float16), {"m.weight"}), (np.ones(8, np.float16), {"m.weight", "m.bias"})):
        save_file({**parts, "m.bias": bias}, file)
        assert with_decoded(read_header(file), config).keys() == names


def test_awq_packs_outputs_in_its_own_order(tmp_path: Path) -> None:
    """From the lowest bits up a word holds the outputs 0, 2, 4, 6, 1, 3, 5, 7."""
    parts = {
        "qweight": words([0x75316420], [0xFDB9ECA8]),  # output n of input 0 is n, of input 1 n + 8
        "qzeros": words([0x00000000]),
        "scales": np.array([[1, 1, 1, 1, 1, 1, 1, 2]], np.float16),
    }
    weight = decoded(tmp_path, {"quant_method": "awq", "bits": 4, "version": "GEMM"}, **parts)
    wanted = [[0, 8], [1, 9], [2, 10], [3, 11], [4, 12], [5, 13], [6, 14], [14, 30]]
    np.testing.assert_array_equal(weight.rows(0, 8), wanted)
    np.testing.assert_array_equal(weight.rows(6, 8), wanted[6:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qzeros": words([0], [0])}, r"m.qzeros is \[2, 1\] .* the tensors beside it make it \[1, 1\]"),
        ({"scales": np.ones((1, 7), np.float16)}, r"m.scales is \[1, 7\] .* make it \[1, 8\]"),
        (
            {"g_idx": np.array([0, 0, 0, 0, 0, 0, 0, 9], np.int32)},
            "m.g_idx names the group 9 in model.safetensors, of 1",
        ),
        ({"scales": np.ones(8, np.float16)}, r"m.scales is \[8\]; expected a matrix"),
    ],
)
def test_parts_that_contradict_one_another_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        decoded(tmp_path, {"quant_method": "gptq", "bits": 4}, **{"qzeros": FIRST, **GPTQ, **changes})


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has m.qweight and lacks m.qzeros: fetch it again"):
        decoded(tmp_path, {"quant_method": "gptq", "bits": 4}, **GPTQ)


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        ({"quant_method": "gptq", "bits": 3}, "by GPTQ with 3 bits in the format 'gptq'"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "in the format 'marlin'"),
        ({"quant_method": "awq", "version": "gemv"}, "in the layout 'gemv'"),
        ({"quant_method": "hqq"}, "quantized by hqq, which can't be read"),
        ({}, "quantized by an unnamed method"),
    ],
)
def test_a_form_that_can_not_be_read_is_refused_by_name(
    tmp_path: Path, quantization: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        decoded(tmp_path, quantization, qzeros=FIRST, **GPTQ)


def test_a_config_that_speaks_of_weights_that_are_plain_is_refused() -> None:
    plain = json.loads('{"quantization_config": {"quant_method": "gptq", "bits": 4}}')
    with pytest.raises(CheckpointError, match="says that weights are quantized by gptq, and none are"):
        with_decoded({}, plain)

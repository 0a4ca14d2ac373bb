"""Headers are held to the format, and rows come back as the numbers that were stored."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from thinkport.export.checkpoint.safetensors_file import read_header, read_rows
from thinkport.export.errors import CheckpointError


def write(file: Path, header: dict[str, Any] | bytes, data: bytes = b"") -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return file


def f32(begin: int, end: int, *shape: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_rows_are_the_stored_numbers_as_float32(tmp_path: Path, dtype: Any) -> None:
    stored = np.random.default_rng(0).standard_normal((9, 5)).astype(dtype)
    save_file({"first": np.zeros(3, np.float32), "w": stored}, tmp_path / "w.safetensors")
    entry = read_header(tmp_path / "w.safetensors")["w"]
    rows = read_rows(entry, 2, 7)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, stored[2:7].astype(np.float32))


@given(bits=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=64))
def test_every_bf16_pattern_becomes_its_float32(tmp_path_factory: pytest.TempPathFactory, bits: list[int]) -> None:
    stored = np.array(bits, np.uint16).view(ml_dtypes.bfloat16)
    file = tmp_path_factory.mktemp("bf16") / "w.safetensors"
    save_file({"w": stored}, file)
    found = read_rows(read_header(file)["w"], 0, len(bits))
    np.testing.assert_array_equal(found.view(np.uint32), np.array(bits, np.uint32) << 16)


def test_an_empty_range_of_rows_is_an_empty_array(tiny: Path) -> None:
    assert read_rows(read_header(tiny / "model.safetensors")["weight"], 3, 3).shape == (0, 4)


def test_rows_outside_of_the_tensor_are_our_own_bug(tiny: Path) -> None:
    with pytest.raises(IndexError, match=r"rows 4\.\.7 of weight, which has 6"):
        read_rows(read_header(tiny / "model.safetensors")["weight"], 4, 7)


def test_many_threads_may_read_one_file(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).standard_normal((64, 100), dtype=np.float32)
    save_file({"w": stored}, tmp_path / "w.safetensors")
    entry = read_header(tmp_path / "w.safetensors")["w"]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda row: read_rows(entry, row, row + 1), list(range(64)) * 4))
    np.testing.assert_array_equal(np.concatenate(rows[:64]), stored)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"a": f32(0, 8, 2), "b": f32(4, 12, 2)}, bytes(12), "b overlaps the tensor before it"),
        ({"a": f32(0, 4, 1), "b": f32(8, 12, 1)}, bytes(12), "b leaves a hole before it"),
        ({"a": f32(0, 8, 2)}, bytes(6), "cut short: its header describes .* bytes and it has"),
        ({"a": f32(0, 8, 2)}, bytes(9), "1 bytes that its header doesn't describe"),
        ({"a": f32(0, 8, 3)}, bytes(8), r"a is F32 \[3\], 12 bytes, but its offsets span 8"),
        ({"a": {**f32(0, 8, 2), "dtype": "F128"}}, bytes(8), "entry for a isn't valid"),
        ({"a": f32(0, 8, -2)}, bytes(8), "entry for a isn't valid"),
        ({"a": [1, 2]}, b"", "entry for a isn't valid"),
        (b'{"a": 1, "a": 2}', b"", "a name occurs twice"),
        (b"[]", b"", "isn't an object"),
        (b"\xff{", b"", "header isn't valid"),
    ],
)
def test_a_header_that_breaks_the_format_is_refused(
    tmp_path: Path, header: dict[str, Any] | bytes, data: bytes, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_header(write(tmp_path / "w.safetensors", header, data))


@pytest.mark.parametrize("content", [b"", b"1234", (10**12).to_bytes(8, "little") + b"{}"])
def test_a_file_that_ends_within_its_header_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_header(tmp_path / "w.safetensors")


def test_a_gguf_file_that_is_named_as_safetensors_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"GGUF\3\0\0\0" + bytes(64))
    with pytest.raises(CheckpointError, match=r"is a GGUF file by its content: give it a name that ends in \.gguf"):
        read_header(tmp_path / "w.safetensors")


def test_weights_of_another_dtype_are_listed_but_not_read(tmp_path: Path) -> None:
    save_file({"q": np.zeros((2, 2), np.int8)}, tmp_path / "w.safetensors")
    entry = read_header(tmp_path / "w.safetensors")["q"]
    with pytest.raises(CheckpointError, match="q is stored as I8; expected BF16, F16, F32"):
        read_rows(entry, 0, 1)


def test_a_file_that_shrinks_after_it_was_opened_is_noticed(tiny: Path) -> None:
    file = tiny / "model.safetensors"
    last = max(read_header(file).values(), key=lambda entry: entry.offset)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="became shorter while"):
        read_rows(last, 0, last.shape[0])

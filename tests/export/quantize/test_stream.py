"""The stream: every row lands once, in order, in bounded blocks, whoever fails on the way."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from thinkport.export.errors import CheckpointError, RecipeError
from thinkport.export.quantize.packing import dequantize, pack
from thinkport.export.quantize.recipes import RoleRecipe
from thinkport.export.quantize.rounding import quantize_rows
from thinkport.export.quantize.stream import RoundingError, RowBlock, quantize_blocks


@dataclass(frozen=True)
class Shape:
    shape: tuple[int, ...]


class Matrices:
    """Matrices in memory that remember what was asked of them."""

    def __init__(self, **matrices: NDArray[np.float32]) -> None:
        self.matrices = matrices
        self.asked: list[tuple[str, int, int]] = []

    @property
    def tensors(self) -> Mapping[str, Shape]:
        return {name: Shape(matrix.shape) for name, matrix in self.matrices.items()}

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        self.asked.append((name, start, stop))
        return self.matrices[name][start:stop].copy()


class Damaged(Matrices):
    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        if start >= 8:
            raise CheckpointError("row 8 is damaged")
        return super().rows(name, start, stop)


def noise(n: int, k: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, k), dtype=np.float32)


def quantize_tensor(
    source: Matrices, names: list[str], recipe: RoleRecipe, sink: Callable[[RowBlock], None], **options: Any
) -> RoundingError:
    total = RoundingError()
    for block in quantize_blocks(source, names, recipe, **options):
        sink(block)
        total += block.error
    return total


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_stacked_tensors_land_once_and_in_order(pool: ThreadPoolExecutor) -> None:
    source = Matrices(q=noise(37, 128), k=noise(11, 128, 1), v=noise(11, 128, 2))
    recipe = RoleRecipe(group_size=32)
    blocks: list[RowBlock] = []
    cost = quantize_tensor(source, ["q", "k", "v"], recipe, blocks.append, pool=pool, block_bytes=8 * 128 * 4)
    whole = quantize_rows(np.concatenate(list(source.matrices.values())), bits=4, group_size=32)
    assert [block.start for block in blocks] == [0, 8, 16, 24, 32, 37, 45, 48, 56]
    packed = pack(whole.codes, bits=4, group_size=32)
    np.testing.assert_array_equal(np.concatenate([block.packed for block in blocks]), packed)
    np.testing.assert_array_equal(np.concatenate([block.scales for block in blocks]), whole.scales)
    assert cost.weights == 59 * 128
    assert cost.relative == pytest.approx(whole.squared_error / whole.squared_sum)


def test_blocks_written_at_their_offsets_fill_the_blob_of_the_size_told_before(pool: ThreadPoolExecutor) -> None:
    source, recipe = Matrices(w=noise(40, 256)), RoleRecipe(group_size=64)
    blob, scales = bytearray(40 * 256 // 2), bytearray(40 * 256 // 64 * 4)

    def write(block: RowBlock) -> None:
        at, scale_at = block.start * 256 * 4 // 8, block.start * 256 // 64 * 4
        blob[at : at + block.packed.nbytes] = block.packed.tobytes()
        scales[scale_at : scale_at + block.scales.nbytes] = block.scales.tobytes()

    cost = quantize_tensor(source, ["w"], recipe, write, pool=pool, block_bytes=7 * 256 * 4)
    packed = np.frombuffer(bytes(blob), np.uint8).reshape(40, 4, 32)
    restored = dequantize(packed, np.frombuffer(bytes(scales), np.float32).reshape(40, 4), bits=4)
    error = float(((source.matrices["w"] - restored) ** 2).sum())
    assert error == pytest.approx(cost.squared_error, rel=1e-4)


def test_it_reads_no_further_ahead_than_the_blocks_in_flight(pool: ThreadPoolExecutor) -> None:
    source = Matrices(w=noise(400, 128))
    blocks = quantize_blocks(source, ["w"], RoleRecipe(), pool=pool, workers=2, block_bytes=4 * 128 * 4)
    next(blocks)
    assert len(source.asked) <= 4
    blocks.close()  # type: ignore[attr-defined]


def test_no_read_is_larger_than_a_block(pool: ThreadPoolExecutor) -> None:
    source = Matrices(w=noise(100, 128))
    quantize_tensor(source, ["w"], RoleRecipe(), lambda block: None, pool=pool, block_bytes=16 * 128 * 4)
    assert max(stop - start for _, start, stop in source.asked) == 16


def test_an_error_while_reading_reaches_the_caller(pool: ThreadPoolExecutor) -> None:
    seen: list[RowBlock] = []
    with pytest.raises(CheckpointError, match="row 8 is damaged"):
        quantize_tensor(Damaged(w=noise(32, 128)), ["w"], RoleRecipe(), seen.append, pool=pool, block_bytes=4 * 128 * 4)
    assert [block.start for block in seen] == [0, 4]


def test_rows_of_unequal_length_can_not_be_stacked(pool: ThreadPoolExecutor) -> None:
    source = Matrices(gate=noise(4, 128), up=noise(4, 256))
    with pytest.raises(RecipeError, match=r"rows of one length .* found gate \[4, 128\], up \[4, 256\]"):
        quantize_tensor(source, ["gate", "up"], RoleRecipe(), lambda block: None, pool=pool)


def test_rows_that_groups_do_not_divide_are_refused_before_any_is_read(pool: ThreadPoolExecutor) -> None:
    source = Matrices(w=noise(4, 80))
    with pytest.raises(RecipeError, match="rows of 80 weights can't be split into groups of 32"):
        quantize_tensor(source, ["w"], RoleRecipe(group_size=128), lambda block: None, pool=pool)
    assert source.asked == []


def test_all_zero_weights_have_no_relative_error(pool: ThreadPoolExecutor) -> None:
    source = Matrices(w=np.zeros((4, 128), np.float32))
    assert quantize_tensor(source, ["w"], RoleRecipe(), lambda block: None, pool=pool).relative == 0.0


@pytest.mark.parametrize("rows", [1, 4, 5, 1000])
def test_alternating_rows_are_those_of_the_matrix_they_make(pool: ThreadPoolExecutor, rows: int) -> None:
    gate, up = noise(9, 64), noise(9, 64, seed=1)
    both = np.stack([gate, up], axis=1).reshape(18, 64)
    options: dict[str, Any] = {"pool": pool, "workers": 2, "block_bytes": rows * 64 * 4}
    blocks = [*quantize_blocks(Matrices(gate=gate, up=up), ["gate", "up"], RoleRecipe(), interleaved=True, **options)]
    alone = quantize_rows(both, bits=4, group_size=64)
    assert [block.start for block in blocks] == [sum(len(b.packed) for b in blocks[:at]) for at in range(len(blocks))]
    np.testing.assert_array_equal(np.concatenate([b.scales for b in blocks]), alone.scales)
    packed = pack(alone.codes, bits=4, group_size=64)
    np.testing.assert_array_equal(np.concatenate([b.packed for b in blocks]), packed)

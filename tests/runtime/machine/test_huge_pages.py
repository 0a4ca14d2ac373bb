"""Memory in huge pages: arrays out of shared blocks, their release, and what Linux says of them."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from thinkport.runtime.machine.huge_pages import BLOCK, HUGE_PAGE, LEAST, HugeBlocks, advised_memory

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for huge pages")


@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (1, 8, 700, 132), (3, BLOCK), (0, 5)])
def test_arrays_are_zeros_of_their_own(shape: tuple[int, ...]) -> None:
    blocks = HugeBlocks()
    for kind in (np.int8, np.float32):
        first, second = blocks.zeros(shape, kind), blocks.zeros(shape, kind)
        assert first.shape == shape
        assert first.dtype == np.dtype(kind)
        first[...] = 1
        assert not second.any()


@on_linux
def test_small_arrays_share_a_block_and_begin_at_cache_lines() -> None:
    blocks = HugeBlocks()
    arrays = [blocks.zeros((LEAST + 7,), np.uint8) for _ in range(BLOCK // LEAST)]
    assert all(array.ctypes.data % 64 == 0 for array in arrays)
    assert arrays[0].ctypes.data % HUGE_PAGE == 0
    starts = sorted(array.ctypes.data for array in arrays)
    assert all(later - earlier >= LEAST + 7 for earlier, later in pairwise(starts))


# In a process of its own: what other tests' threads take and free meanwhile counts as well.
KEPT_AND_FREED = """
import gc
import numpy as np
from thinkport.runtime.machine.huge_pages import BLOCK, HugeBlocks, advised_memory

blocks, before = HugeBlocks(), advised_memory()
arrays = [blocks.zeros((BLOCK // 4,), np.uint8) for _ in range(9)]  # two whole blocks, and the beginning of one
for array in arrays:
    array[...] = 1
full = advised_memory()
del arrays[1:], array
gc.collect()
print(full[0] - before[0], full[0] - advised_memory()[0])
"""


@on_linux
def test_memory_goes_back_with_its_last_array() -> None:
    told = subprocess.run([sys.executable, "-c", KEPT_AND_FREED], capture_output=True, text=True, check=True).stdout
    taken, freed = map(int, told.split())
    assert taken >= 2 * BLOCK + BLOCK // 4
    assert freed == BLOCK


def test_what_linux_says_is_added_up(tmp_path: Path) -> None:
    smaps = tmp_path / "smaps"
    mapping = "7f00-7f01 rw-p 00000000 00:00 0 \nRss: {} kB\nAnonHugePages: {} kB\nVmFlags: rd wr {}\n"
    smaps.write_text(mapping.format(4096, 2048, "hg") + mapping.format(100, 0, "mr") + mapping.format(8, 0, "mr hg"))
    assert advised_memory(smaps) == (4104 << 10, 2048 << 10)
    assert advised_memory(tmp_path / "nowhere") is None

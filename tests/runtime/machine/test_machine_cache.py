"""The cache of what a machine derived: by key, whole or not at all, checked, limited, and never in the way."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thinkport.runtime.errors import CacheWarning
from thinkport.runtime.machine import machine_cache
from thinkport.runtime.machine.cache_record import RECORD_NAME, CacheKey
from thinkport.runtime.machine.machine_cache import MachineCache

KEY = CacheKey(artifact="a" * 64, graph="cpu.onnx", content="sums 1", onnxruntime="1.32.0", cpu="x86_64 avx2")
MIB = 1 << 20

MAKES = """
import sys, os
from pathlib import Path
from thinkport.runtime.machine.cache_record import CacheKey
from thinkport.runtime.machine.machine_cache import MachineCache
key = CacheKey(artifact="a" * 64, graph="cpu.onnx", content="sums 1", onnxruntime="1.32.0", cpu="x86_64 avx2")
def write(folder):
    (folder / "sums").write_bytes(b"whole")
    print("writing", flush=True)
    {then}
lease = MachineCache(Path(sys.argv[1])).make(key, write, expected_bytes=5)
print("made" if lease else "not made", flush=True)
sys.stdin.read()
"""


def writing(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "sums").write_bytes(content)


@pytest.fixture
def cache(tmp_path: Path) -> MachineCache:
    return MachineCache(tmp_path / "not" / "yet")


@pytest.fixture
def content() -> bytes:
    return np.random.default_rng().bytes(3 * MIB + 4321)


def made(cache: MachineCache, content: bytes, key: CacheKey = KEY) -> Path:
    lease = cache.make(key, writing(content), expected_bytes=len(content))
    assert lease
    with lease:
        return lease.folder / "sums"


def other(number: int) -> CacheKey:
    return replace(KEY, artifact=f"{number:064x}")


def process(cache: MachineCache, then: str) -> subprocess.Popen[str]:
    """A process that makes the entry of KEY, and does `then` half way; it has it until its stdin is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", MAKES.format(then=then), str(cache.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_made_is_found_again_with_its_bytes(cache: MachineCache, content: bytes) -> None:
    assert cache.find(KEY) is None
    made(cache, content)
    lease = cache.find(KEY)
    assert lease
    with lease:
        assert (lease.folder / "sums").read_bytes() == content


@pytest.mark.parametrize("field", ["artifact", "graph", "content", "onnxruntime", "cpu"])
def test_a_key_that_differs_in_one_field_is_a_miss(cache: MachineCache, content: bytes, field: str) -> None:
    made(cache, content)
    assert cache.find(replace(KEY, **{field: "another"})) is None


def test_one_flipped_bit_anywhere_is_found_and_the_entry_thrown_away(cache: MachineCache, content: bytes) -> None:
    path = made(cache, content)
    for at in np.random.default_rng().integers(0, len(content) * 8, 20):
        damaged = bytearray(content)
        damaged[at // 8] ^= 1 << (at % 8)
        path.write_bytes(damaged)
        assert cache.find(KEY) is None
        assert not path.exists()
        assert made(cache, content) == path


@pytest.mark.parametrize("page", [0, 4096, 3 * MIB])
def test_a_page_that_never_reached_the_disk_is_found(cache: MachineCache, content: bytes, page: int) -> None:
    path = made(cache, content)
    damaged = bytearray(content)
    damaged[page : page + 4096] = bytes(min(4096, len(content) - page))
    path.write_bytes(damaged)
    assert cache.find(KEY) is None


def test_files_that_are_shorter_or_missing_are_found(cache: MachineCache, content: bytes) -> None:
    path = made(cache, content)
    path.write_bytes(content[:-1])
    assert cache.find(KEY) is None
    made(cache, content)
    path.unlink()
    assert cache.find(KEY) is None


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", b'{"key": 1, "files": []}', b"\xff", b'{"files": {"sums": {}}}'])
def test_a_damaged_record_is_a_miss(cache: MachineCache, content: bytes, record: bytes) -> None:
    path = made(cache, content)
    path.with_name(RECORD_NAME).write_bytes(record)
    assert cache.find(KEY) is None
    assert made(cache, content).read_bytes() == content


def test_what_fails_while_it_is_made_leaves_nothing(cache: MachineCache) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.make(KEY, fails, expected_bytes=4)
    assert cache.find(KEY) is None
    assert not [path for path in cache.folder.iterdir() if path.is_dir()]


def test_a_second_process_works_without_what_the_first_is_making(cache: MachineCache, content: bytes) -> None:
    with process(cache, "sys.stdin.readline()") as first:
        assert first.stdout
        assert first.stdin
        assert first.stdout.readline() == "writing\n"
        assert cache.find(KEY) is None
        assert cache.make(KEY, writing(content), expected_bytes=9) is None
        first.stdin.write("go on\n")
        first.stdin.flush()
        assert first.stdout.readline() == "made\n"
        lease = cache.find(KEY)
        assert lease
        with lease:
            assert (lease.folder / "sums").read_bytes() == b"whole"


def test_what_a_dead_process_left_is_cleared_when_the_next_entry_is_made(cache: MachineCache, content: bytes) -> None:
    with process(cache, "os._exit(0)") as dying:
        dying.communicate()
    assert list(cache.folder.glob("*.making"))
    made(cache, content, other(1))
    assert not list(cache.folder.glob("*.making"))


def test_what_another_process_uses_is_neither_evicted_nor_cleared(cache: MachineCache, content: bytes) -> None:
    with process(cache, "pass") as user:
        assert user.stdout
        assert user.stdin
        assert [user.stdout.readline(), user.stdout.readline()] == ["writing\n", "made\n"]
        small = MachineCache(cache.folder, limit=len(content))
        assert [entry.in_use for entry in small.entries()] == [True]
        assert small.clear() == 0
        assert small.make(other(1), writing(content), expected_bytes=len(content)) is None
        user.stdin.close()
    assert small.make(other(1), writing(content), expected_bytes=len(content))
    assert cache.find(KEY) is None


def test_what_this_process_uses_is_not_evicted_either(cache: MachineCache, content: bytes) -> None:
    made(cache, content)
    lease = cache.find(KEY)
    assert lease
    assert cache.clear() == 0
    lease.close()
    assert cache.clear() == len(content)


def test_the_longest_unused_make_room(cache: MachineCache) -> None:
    cache.limit = 3000
    for number in (1, 2, 3):
        made(cache, bytes(1000), other(number))
        stamp = cache.folder / f"{other(number).name}.lock"
        os.utime(stamp, (1_000_000_000 + number,) * 2)
    used = cache.find(other(1))
    assert used
    used.close()
    made(cache, bytes(1500), other(4))
    assert {entry.key for entry in cache.entries()} == {other(1), other(4)}


def test_what_is_larger_than_the_limit_is_not_made_and_costs_nobody_else(cache: MachineCache, content: bytes) -> None:
    made(cache, content)
    cache.limit = len(content)
    assert cache.make(other(1), writing(b"never"), expected_bytes=len(content) + 1) is None
    assert [entry.key for entry in cache.entries()] == [KEY]


def test_a_disk_that_would_be_full_gets_no_entry(
    cache: MachineCache, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_cache, "FREE_BYTES", 1 << 60)
    assert cache.make(KEY, writing(content), expected_bytes=len(content)) is None
    assert cache.entries() == []


def test_a_full_disk_is_a_warning_and_no_entry(cache: MachineCache) -> None:
    def full(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.warns(CacheWarning, match="No space left on device"):
        assert cache.make(KEY, full, expected_bytes=4) is None
    assert not [path for path in cache.folder.iterdir() if path.is_dir()]


def test_a_folder_that_can_t_be_is_a_warning_and_no_entry(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = MachineCache(tmp_path / "file" / "cache")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.entries() == []
    with pytest.warns(CacheWarning, match="can't be used"):
        assert cache.make(KEY, writing(content), expected_bytes=1) is None

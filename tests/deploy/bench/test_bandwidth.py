"""How fast memory is read: by whom, of how much, and what is said where a cache may hold it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.kernels.conftest import library as library

from thinkport.deploy.bench.bandwidth import LEAST, Bandwidth, read_bandwidth
from thinkport.deploy.hardware import Hardware, last_cache, this_hardware
from thinkport.runtime.providers.kernels import OPERATORS

MIB = 1 << 20
MACHINE = Hardware(processor="a", cores=2, features=(), memory=64 << 30, memory_free=32 << 30, last_cache=32 * MIB)


def test_numpy_reads_where_no_kernels_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "thinkport_kernels", None)
    found = read_bandwidth(2, MACHINE, bytes=4 * MIB)
    assert found.speed > 0
    assert (found.by, found.bytes) == ("numpy", 4 * MIB)


def test_the_kernels_read_where_they_are(monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
    package = type(sys)("thinkport_kernels")
    package.LIBRARY, package.OPERATORS = library, OPERATORS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "thinkport_kernels", package)
    found = read_bandwidth(3, MACHINE, bytes=5 * MIB)
    assert 1e6 < found.speed < 1e14
    assert found.by == "thinkport-kernels"


def test_a_library_that_cannot_read_leaves_it_to_numpy(monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
    package = type(sys)("thinkport_kernels")
    package.LIBRARY, package.OPERATORS = library, OPERATORS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "thinkport_kernels", package)
    monkeypatch.setattr("thinkport.deploy.bench.bandwidth._READ", "thinkport_unknown")
    assert read_bandwidth(1, MACHINE, bytes=MIB).by == "numpy"


def test_four_times_the_last_cache_is_read_or_the_doubt_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkport.deploy.bench.bandwidth._by_numpy", lambda threads, size: float(size))
    monkeypatch.setitem(sys.modules, "thinkport_kernels", None)
    assert read_bandwidth(2, MACHINE).bytes == LEAST
    large = replace(MACHINE, last_cache=480 * MIB)
    assert read_bandwidth(2, large).bytes == 4 * 480 * MIB
    assert "the weights" not in str(read_bandwidth(2, large))
    short = read_bandwidth(2, replace(large, memory_free=4 << 30))
    assert short.bytes == 1 << 30
    assert str(short).endswith("1,024 MiB of memory, by numpy; the last cache has 480 MiB: the weights may lie in it")
    unknown = str(Bandwidth(speed=2e10, bytes=LEAST, cache=None, by="numpy"))
    assert unknown.startswith("20.0 GB/s of 512 MiB")
    assert "how large the last cache is is unknown: the weights may lie in it" in unknown


def test_caches_of_the_last_level_are_added_up_each_once(tmp_path: Path) -> None:
    for cpu, shared in enumerate(("0-1", "0-1", "2-3", "2-3")):
        for index, (level, size, of) in enumerate(
            ((1, "32K", str(cpu)), (2, "1024K", str(cpu)), (3, "32768K", shared))
        ):
            folder = tmp_path / f"cpu{cpu}" / "cache" / f"index{index}"
            folder.mkdir(parents=True)
            for name, text in (("level", level), ("size", size), ("shared_cpu_list", of)):
                (folder / name).write_text(f"{text}\n")
    assert last_cache(tmp_path) == 64 * MIB
    assert last_cache(tmp_path / "nowhere") is None
    assert this_hardware().last_cache is None or this_hardware().last_cache > 0  # type: ignore[operator]

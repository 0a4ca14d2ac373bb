"""`thinkport cache` shows what is kept, and takes it away."""

from pathlib import Path

import pytest

from thinkport.runtime.cli.text_verbs import cache as run_cache
from thinkport.runtime.errors import InputError
from thinkport.runtime.machine.cache_record import CacheKey
from thinkport.runtime.machine.machine_cache import MachineCache

KEY = CacheKey(artifact="abcdef" * 8, graph="cpu.onnx", content="sums 1", onnxruntime="1.32.0", cpu="x86_64")


@pytest.fixture
def cache(tmp_path: Path) -> MachineCache:
    cache = MachineCache(tmp_path)
    lease = cache.make(KEY, lambda folder: (folder / "sums").write_bytes(bytes(2_000_000)), expected_bytes=2_000_000)
    assert lease
    lease.close()
    return cache


def test_entries_are_listed_with_size_and_sum(cache: MachineCache, capsys: pytest.CaptureFixture[str]) -> None:
    run_cache(str(cache.folder), clear=False)
    entry, total = capsys.readouterr().out.splitlines()
    assert "2 MB" in entry
    assert "sums 1  cpu.onnx of abcdefabcdef" in entry
    assert "in use" not in entry
    assert f"2 MB of {cache.limit / 1e6:.0f} in {cache.folder}" in total


def test_clear_frees_what_nobody_uses(cache: MachineCache, capsys: pytest.CaptureFixture[str]) -> None:
    with cache.find(KEY) or pytest.fail("the entry is there"):
        run_cache(str(cache.folder), clear=True)
        assert "in use" in capsys.readouterr().out
    run_cache(str(cache.folder), clear=True)
    assert capsys.readouterr().out.startswith("freed 2 MB\n     0 MB of")


def test_a_cache_that_is_off_can_t_be_shown() -> None:
    with pytest.raises(InputError, match="the cache is off"):
        run_cache("off", clear=False)

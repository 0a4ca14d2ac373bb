"""A fresh process measures itself from its start to a first token."""

from pathlib import Path

import pytest

from thinkport.deploy.cold_start import ColdStartError, ProcessMemory, cold_start, parse_rollup


def test_a_fresh_process_tells_its_steps_in_order(nano_artifact: Path) -> None:
    measured = cold_start(nano_artifact, context=300)
    assert 0 < measured.imported < measured.loaded < measured.first_token
    assert 0 < measured.files_seconds < measured.load_seconds
    assert measured.context == 300
    assert measured.kv_bytes_context == 2 * measured.kv_bytes_first_token > 0  # room for 512 tokens and for 256


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ColdStartError, match="no artifact at"):
        cold_start(tmp_path / "missing")


def test_private_memory_is_anonymous_and_swapped_pages() -> None:
    text = "5581e0a4d000-7ffd [rollup]\nRss:  900 kB\nAnonymous:  300 kB\nSwap:  50 kB\nPrivate_Clean: 400 kB\n"
    assert parse_rollup(text) == ProcessMemory(private=350 << 10, resident=900 << 10)

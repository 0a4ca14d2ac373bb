"""A console without Unicode shows what looks alike."""

import pytest

from thinkport.runtime.terminal.lookalikes import in_encoding


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "> thought 3 tokens - natural ##.. ??"),
        ("latin-1", "> thought 3 tokens · natural ##.. ??"),
        ("utf-8", "▸ thought 3 tokens · natural ██░░ 海🎉"),
    ],
)
def test_only_what_an_encoding_lacks_is_replaced(encoding: str, shown: str) -> None:
    assert in_encoding("▸ thought 3 tokens · natural ██░░ 海🎉", encoding) == shown

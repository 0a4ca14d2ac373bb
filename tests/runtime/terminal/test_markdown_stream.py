"""Streamed Markdown is cut where nothing can change any more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.terminal.markdown_stream import Block, MarkdownStream

LINES = ["text", "- item", "  more", "1. one", "2. two", "", "```py", "```", "x = 1", "# head", "> said", "---"]
LINES += ["| a | b |", "|---|---|", "    code", "**bold", "<div>", "10) ten"]
documents = st.lists(st.sampled_from(LINES), max_size=14).map("\n".join)


def in_pieces(source: str, size: int) -> list[Block]:
    stream = MarkdownStream()
    blocks = []
    for at in range(0, len(source), size):
        stream.feed(source[at : at + size])
        blocks += stream.take()
        stream.tail()
    return blocks + stream.rest()


@given(documents, st.integers(1, 9))
def test_blocks_taken_early_are_those_of_the_whole(source: str, size: int) -> None:
    whole = in_pieces(source, len(source) or 1)
    streamed = in_pieces(source, size)
    assert [(b.source, b.kind, b.apart) for b in streamed] == [(b.source, b.kind, b.apart) for b in whole]


@pytest.mark.parametrize(
    ("source", "finished"),
    [
        ("one", []),
        ("one\n\ntw", ["one\n\n"]),
        ("- a\n- b", ["- a\n"]),
        ("1. a\n   more\n2. b", ["1. a\n   more\n"]),
        ("```py\nx\n\ny", []),
        ("```py\nx\n```\n", []),
        ("```py\nx\n```\nz", ["```py\nx\n```\n"]),
        ("| a |\n|---|\n| 1 |\n\nz", ["| a |\n|---|\n| 1 |\n\n"]),
    ],
)
def test_all_but_the_last_block_is_finished(source: str, finished: list[str]) -> None:
    stream = MarkdownStream()
    stream.feed(source)
    assert [block.source for block in stream.take()] == finished
    assert stream.take() == []


@pytest.mark.parametrize("marker", ["-", "**", "##", "1.", "  >", "|", "``"])
def test_a_line_that_may_become_a_marker_is_not_drawn_yet(marker: str) -> None:
    stream = MarkdownStream()
    stream.feed(f"text\n{marker}")
    tail = stream.tail()
    assert tail is not None
    assert tail.source == "text\n"
    assert "".join(block.source for block in stream.rest()) == f"text\n{marker}"


def test_only_items_of_a_tight_list_stand_together() -> None:
    tight, loose = in_pieces("a\n- b\n- c\n", 99), in_pieces("- b\n\n- c\n", 99)
    assert [block.apart for block in tight] == [False, True, False]
    assert [block.apart for block in loose] == [False, True]

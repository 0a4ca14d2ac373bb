"""What a model writes can't command a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.terminal.controls import HarmlessStream, harmless


def test_controls_become_pictures_while_tabs_and_line_ends_stay() -> None:
    assert harmless("a\tb\r\nc\rd\x07\x1b[31m\x9b\x7f\n") == "a\tb\nc\u240dd\u2407\u241b[31m\ufffd\u2421\n"


@given(st.lists(st.text(alphabet="a\r\n\x1b", max_size=4)))
def test_a_text_in_pieces_is_shown_as_the_whole(pieces: list[str]) -> None:
    stream = HarmlessStream()
    assert "".join(map(stream.feed, pieces)) + stream.flush() == harmless("".join(pieces))

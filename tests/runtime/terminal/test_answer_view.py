"""An answer as lines: each is printed once, and looks as if the answer had been drawn whole."""

import re

import pytest

from thinkport.runtime.terminal.answer_view import AnswerView
from thinkport.runtime.terminal.rendered_lines import Line, print_lines

CODE = "".join(f"    line_{number} = {number}\n" for number in range(18))
ANSWER = f"""Here **you** are, 2 < 3 & `x`:

```python
def f():
{CODE}```

1. one <b>html</b> and List<String>
2. two, 你好世界 🎉

   more of two
10. ten

- a
- b

| a | b |
|---|---|
| 1 | 2 |

> quoted
lazily

# Head
the end"""


def text_of(lines: list[Line]) -> str:
    return "".join("".join(segment.text for segment in line) + "\n" for line in lines)


def streamed(answer: str, console, *, size: int, room: int) -> str:
    view, lines = AnswerView(console), []
    for at in range(0, len(answer), size):
        view.feed(answer[at : at + size])
        lines += view.final(room)
        assert len(view.tail(room)) <= room
    return text_of(lines + view.rest())


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("room", [3, 12, 50])
@pytest.mark.parametrize("width", [20, 80])
def test_a_streamed_answer_is_drawn_as_the_whole(new_console, size: int, room: int, width: int) -> None:
    console = new_console(width)
    assert streamed(ANSWER, console, size=size, room=room) == streamed(ANSWER, console, size=len(ANSWER), room=99)


def test_what_html_and_types_spell_is_text(new_console) -> None:
    shown = streamed(ANSWER, new_console(), size=9, room=9)
    assert "one <b>html</b> and List<String>" in shown
    assert "Here you are, 2 < 3 & x:" in shown


def test_lines_stay_lines(new_console) -> None:
    assert streamed("6*7=42\n8*7=56", new_console(), size=3, room=9) == "6*7=42\n8*7=56\n"


@pytest.mark.parametrize("product", ["2*3*4", "(a+b)*(c+d)*2", "x[0]*y*z", "2**3**2"])
def test_a_product_keeps_its_asterisks(new_console, product: str) -> None:
    assert streamed(product, new_console(), size=1, room=9) == f"{product}\n"


def test_emphasis_within_text_without_blanks_is_still_emphasis(new_console) -> None:
    assert (
        streamed("这是**重点**内容, *so* and (**so**)", new_console(), size=9, room=9) == "这是重点内容, so and (so)\n"
    )


def test_a_link_shows_where_it_leads_and_an_image_too(new_console) -> None:
    shown = streamed("[a](https://x.org/b) ![c](https://x.org/d)", new_console(), size=9, room=9)
    assert shown == "a (https://x.org/b) !c (https://x.org/d)\n"


def test_the_last_lines_of_a_long_block_are_those_that_are_drawn_again(new_console) -> None:
    view = AnswerView(new_console())
    view.feed("```python\n" + CODE)
    first = text_of(view.final(5))
    assert first.startswith("```python\n    line_0 = 0\n")
    assert text_of(view.tail(5)) == "".join(f"    line_{number} = {number}\n" for number in range(13, 18))
    assert view.final(5) == []


def test_code_is_coloured_and_a_terminal_obeys_nothing_in_it(new_console) -> None:
    console, view = new_console(), AnswerView(new_console())
    view.feed("```python\ndef f():\x1b[2J\n```\n")
    print_lines(view.rest(), console)
    shown = console.file.getvalue()
    assert "\x1b[94mdef" in shown
    assert "\x1b[2J" not in shown
    assert "\u241b" in shown


def test_no_colours_are_shown_where_none_are_wanted(new_console) -> None:
    console = new_console(no_color=True)
    view = AnswerView(console)
    view.feed("```python\ndef f(): pass\n```\n")
    print_lines(view.rest(), console)
    assert "def f(): pass" in console.file.getvalue()


def test_a_narrowed_window_neither_loses_nor_repeats_code(new_console) -> None:
    console = new_console(60)
    view = AnswerView(console)
    view.feed("```\n" + CODE)
    lines = view.final(5)
    console.width = 12
    view.feed("```\n")
    shown = text_of(lines + view.rest())
    assert re.findall(r"line_(\d+)\b", shown) == [str(number) for number in range(18)]

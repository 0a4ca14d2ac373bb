"""A reply on an emulated terminal: what stands there at the end, and in between."""

from collections.abc import Iterator

import pyte
import pytest
from rich.segment import Segment

from thinkport.runtime.events import AnswerPiece, Event, ThoughtPiece, ToolCall
from thinkport.runtime.terminal.live_frame import LiveFrame
from thinkport.runtime.terminal.reply_screen import ReplyScreen
from thinkport.runtime.thinking.thinking import Thinking, ThinkingEnd

LONG = "".join(f"- item {number}\n" for number in range(40))
CODE = "```python\n" + "".join(f"x_{number} = {number}\n" for number in range(40)) + "```\n\nDone.\n"


def emulated(shown: str, width: int, height: int) -> list[str]:
    """The lines of scrollback and window."""
    screen = pyte.HistoryScreen(width, height, history=1000)
    pyte.Stream(screen).feed(shown.replace("\n", "\r\n"))
    above = ["".join(row[column].data for column in range(width)) for row in screen.history.top]
    return [line.rstrip() for line in [*above, *screen.display]]


def words_of(text: str, piece: type) -> Iterator[Event]:
    for count, word in enumerate(text.split(" "), 1):
        yield piece(text=word if count == 1 else f" {word}", tokens=count)


def shown(
    new_console, events: Iterator[Event], *, width: int = 40, height: int = 12, unfolded: bool = False, **more
) -> list[str]:
    """What stands on the terminal at the end, after drawing a frame for every event."""
    console = new_console(width, height)
    screen = ReplyScreen(console, thinking=more.pop("thinking", Thinking()), unfolded=unfolded, **more)
    screen.show(framed(events, screen))
    lines = emulated(console.file.getvalue(), width, height)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def framed(events: Iterator[Event], screen: ReplyScreen) -> Iterator[Event]:
    """The events, with a frame drawn after each, as a slow model would have it."""
    for event in events:
        yield event
        screen.draw()


def test_a_folded_thought_is_one_line_and_the_answer_follows(new_console, end_of, thought_end) -> None:
    thought = [*words_of("\nhm let me\nsee", ThoughtPiece), thought_end(ThinkingEnd.NATURAL)]
    lines = shown(new_console, iter([*thought, *words_of("It is **so**.", AnswerPiece), end_of("x", "y")]))
    assert lines[0].startswith("▸ thought 3 tokens · 0.")
    assert lines[0].endswith("s · natural")
    assert lines[1:] == ["", "It is so."]


def test_a_thought_that_stays_stands_above_its_line(new_console, end_of, thought_end) -> None:
    thought = [*words_of("\nhm let me\n\nsee\n", ThoughtPiece), thought_end(ThinkingEnd.NATURAL)]
    lines = shown(new_console, iter([*thought, *words_of("yes", AnswerPiece), end_of("x", "y")]), unfolded=True)
    assert lines[:3] == ["hm let me", "", "see"]
    assert lines[3].startswith("▾ thought 3 tokens")


@pytest.mark.parametrize("height", [4, 12, 60])
@pytest.mark.parametrize("answer", [LONG, CODE])
def test_an_answer_longer_than_the_window_is_whole_and_nothing_stands_twice(
    new_console, end_of, answer: str, height: int
) -> None:
    streamed = shown(new_console, iter([*words_of(answer, AnswerPiece), end_of("", "y")]), height=height)
    at_once = shown(new_console, iter([AnswerPiece(text=answer), end_of("", "y")]), height=500)
    assert streamed == at_once
    assert len([line for line in streamed if line]) >= 40


def test_while_it_thinks_the_last_lines_and_the_counter_are_shown(new_console, end_of) -> None:
    console = new_console(60, 12)
    screen = ReplyScreen(console, thinking=Thinking(budget=8), unfolded=False)
    seen: list[list[str]] = []

    def events() -> Iterator[Event]:
        for event in words_of("one\ntwo three\nfour", ThoughtPiece):
            yield event
            screen.draw()
            seen.append(emulated(console.file.getvalue(), 60, 12))
        yield end_of("x", "")

    screen.show(events())
    assert seen[-1][:3] == ["one", "two three", "four"]
    assert seen[-1][3].startswith("thinking 2 tokens · 0.")
    assert seen[-1][3].endswith("s · ████░░░░░░░░░░░░ of 8")


@pytest.mark.parametrize("why", [ThinkingEnd.USER, ThinkingEnd.SOFT, ThinkingEnd.RESERVE])
def test_a_folded_thought_says_why_it_ended_before_the_answer_comes(new_console, end_of, thought_end, why) -> None:
    console = new_console(40, 12)
    screen = ReplyScreen(console, thinking=Thinking(), unfolded=False)

    def events() -> Iterator[Event]:
        yield from [*words_of("hm hm", ThoughtPiece), thought_end(why)]
        screen.draw()
        assert emulated(console.file.getvalue(), 40, 12)[0].endswith(f"· {why}")
        yield end_of("hm hm", "yes", thinking_end=why)

    screen.show(events())


def test_a_turn_cancelled_within_the_thought_leaves_its_line(new_console, end_of, thought_end) -> None:
    end = end_of("hm hm", "", thinking_end=ThinkingEnd.CANCELLED)
    lines = shown(new_console, iter([*words_of("hm hm", ThoughtPiece), thought_end(ThinkingEnd.CANCELLED), end]))
    assert len(lines) == 1
    assert lines[0].endswith("· cancelled")


@pytest.mark.parametrize("narrow", [13, 29, 44])
def test_a_window_that_gets_narrower_within_a_thought_keeps_no_stale_lines(
    new_console, end_of, thought_end, narrow: int
) -> None:
    console = new_console(60, 24)
    screen = ReplyScreen(console, thinking=Thinking(), unfolded=False, clock=lambda: 0.0)
    wrapped: list[str] = []

    def events() -> Iterator[Event]:
        yield from words_of("one long line that takes almost all of the window\nand another\nhm", ThoughtPiece)
        screen.draw()
        above = "\n".join(line for line in emulated(console.file.getvalue(), 60, 24) if line)
        wrapped.append(above)  # a terminal wraps its lines anew, and its cursor stays at the end of the last
        console.file.seek(0)
        console.file.truncate()
        console.width = narrow
        screen.draw()
        yield thought_end(ThinkingEnd.NATURAL)
        yield from words_of("yes", AnswerPiece)
        yield end_of("x", "yes")

    screen.show(events())
    lines = [line for line in emulated(wrapped[0] + console.file.getvalue(), narrow, 24) if line]
    assert "".join("".join(lines).split()) == "▸thought11tokens·0.0s·naturalyes"


def test_a_tool_call_is_a_line(new_console, end_of) -> None:
    call = ToolCall(id="1", name="add", arguments={"a": 1}, text='{"name": "add"}')
    lines = shown(new_console, iter([*words_of("I add.", AnswerPiece), call, end_of("", "y")]), width=70)
    assert lines == ["", "I add.", 'tool call {"name": "add", "arguments": {"a": 1}}']


def test_wide_letters_neither_break_lines_nor_the_drawing(new_console, end_of) -> None:
    answer = "你好，世界 🎉 " * 12
    lines = shown(new_console, iter([*words_of(answer, AnswerPiece), end_of("", "y")]), width=20, height=5)
    assert "".join("".join(lines).split()).count("你") == 12


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("漢" * 44, 13, 8),
        ("漢" * 44, 12, 8),
        ("a" * 88, 13, 7),
        ("a漢" * 10, 4, 10),
        ("👩‍👩‍👧🇩🇪" * 3, 5, 3),
        ("", 9, 1),
    ],
)
def test_a_line_of_wide_letters_takes_as_many_rows_as_terminals_give_it(new_console, text, width, rows) -> None:
    frame = LiveFrame(lambda: [[Segment(text)]])
    new_console(100, 24).print(frame)
    assert frame.rows(width) == rows

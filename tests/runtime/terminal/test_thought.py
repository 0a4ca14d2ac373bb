"""A thought's text and figures on the screen."""

from thinkport.runtime.terminal.rendered_lines import Line
from thinkport.runtime.terminal.thought_view import ThoughtLine, ThoughtText, bar
from thinkport.runtime.thinking.thinking import Thinking, ThinkingEnd


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def counted(thinking: Thinking, *, tokens: int, seconds: float) -> ThoughtLine:
    clock = Clock()
    line = ThoughtLine(thinking, clock)
    line.count(1)
    clock.now += seconds
    line.count(tokens)
    return line


def plain(lines: list[Line]) -> list[str]:
    return ["".join(segment.text for segment in line) for line in lines]


def test_the_line_that_counts_has_tokens_seconds_and_speed_and_the_key_that_ends_the_thought() -> None:
    line = counted(Thinking(), tokens=21, seconds=2.0)
    assert line.counting(80) == "thinking 21 tokens · 2.0 s · 10.0 tok/s · Ctrl-C: answer now"
    assert line.counting(80, "closing") == "closing · thinking 21 tokens · 2.0 s · 10.0 tok/s"


def test_a_budget_is_a_bar_and_what_does_not_fit_is_left_out() -> None:
    line = counted(Thinking(budget=40), tokens=21, seconds=2.0)
    assert line.counting(90).endswith("10.0 tok/s · ████████░░░░░░░░ of 40 · Ctrl-C: answer now")
    assert line.counting(80).endswith("2.0 s · ████████░░░░░░░░ of 40 · Ctrl-C: answer now")
    assert line.counting(70).endswith("10.0 tok/s · ████████░░░░░░░░ of 40")
    assert line.counting(30) == "thinking 21 tokens · 2.0 s"
    assert line.counting(5) == "thinking 21 tokens"


def test_a_bar_never_leaves_its_frame() -> None:
    assert (bar(0), bar(2)) == ("░" * 16, "█" * 16)


def test_a_folded_thought_is_one_line() -> None:
    line = counted(Thinking(), tokens=312, seconds=9.84)
    line.end()
    assert line.folded(ThinkingEnd.NATURAL) == "▸ thought 312 tokens · 9.8 s · natural"
    assert line.folded(ThinkingEnd.SOFT, stays=True).startswith("▾ ")
    assert line.folded(ThinkingEnd.LOOP).endswith("· loop")


def test_lines_of_a_thought_that_stays_come_once_they_are_whole(new_console) -> None:
    text = ThoughtText(new_console(10))
    shown = []
    for piece in ["\n", "a b", "\n", "\nlong wo", "rds here", "\n", "z", "\n\n"]:
        text.feed(piece)
        shown += text.final()
    assert plain(shown) == ["a b", "", "long words", "here", "z"]
    assert plain(text.rest()) == []


def test_the_tail_of_a_thought_is_its_last_lines_without_blank_ones(new_console) -> None:
    text = ThoughtText(new_console(10))
    text.feed("one\n\ntwo\nthree four five\n")
    assert plain(text.tail(3)) == ["two", "three four", "five"]
    assert text.tail(0) == []

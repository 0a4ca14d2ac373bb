"""What answers say, in whatever words."""

from fractions import Fraction

import pytest

from thinkport.runtime.thinking.answer_values import answer_value

SAME = [
    ["1234", "1,234", "The result is 1,234.", "\\boxed{1234}", "\\boxed{1{,}234}", "$1,234", "It is\n1234 km."],
    ["0", "0.0", "\\boxed{0}", "so 0"],
    ["1/2", "0.5", "\\frac{1}{2}", "\\boxed{\\dfrac{1}{2}}", "x = .5"],
    ["-3", "\N{MINUS SIGN}3", "\\boxed{-3}"],
    [
        "B",
        "(B)",
        "B.",
        "**B**",
        "The answer is (B).",
        "Answer: B",
        "the answer is B because 3 > 2",
        "\\boxed{\\text{B}}",
    ],
    ["yes", "Yes.", "YES!"],
    ["\\boxed{2x + 3}", "\\boxed{2x+3}", "so \\boxed{ 2x+3 }"],
    ["\\boxed{\\sqrt{2}}", "it is \\boxed{\\sqrt{2}}."],
    ["1, 2, 3", "1,2,3", "(1, 2, 3)", "It is 1, 2, and 3."],
    ["July 4, 1776", "on July 4th, 1776.", "Jul 4 1776", "**July 4**, 1776"],
    ["3:45 PM", "at 03:45 p.m.", "3:45pm"],
    ["x = 5, y = 3", "x=5, y=3", "So x = 5 and y = 3.", "\\(x = 5\\), \\(y = 3\\)"],
    ["3 hours 20 minutes", "It takes 3 hours and 20 minutes."],
    ["2-5", "2 \N{EN DASH} 5"],
]


@pytest.mark.parametrize("answers", SAME, ids=lambda answers: answers[0])
def test_answers_that_say_the_same_are_equal(answers):
    assert len({answer_value(answer) for answer in answers}) == 1
    assert answer_value(answers[0]) is not None


def test_answers_that_say_something_else_differ():
    values = [answer_value(answers[0]) for answers in SAME]
    assert len(set(values)) == len(SAME)
    assert answer_value("\\boxed{2x}") != answer_value("\\boxed{2y}")
    assert answer_value("\\boxed{2x+3}") != answer_value("\\boxed{3}")


@pytest.mark.parametrize(
    "answer", ["", "Paris", "It rains.", "In 1990 it rained.\nIt does not any more.", "A house is red.", '{"a": true}']
)
def test_answers_in_words_can_not_be_compared(answer):
    assert answer_value(answer) is None


def test_the_last_number_of_the_last_line_counts():
    assert answer_value("First 12, then 30.\nThat makes 12 + 30 = 42") == Fraction(42)


@pytest.mark.parametrize(
    ("answer", "other"),
    [
        ("2024-01-15", "2023-05-15"),
        ("It is 15/01/2024.", "It is 15/02/2024."),
        ("January 15", "on May 15"),
        ("15th of January", "15 May"),
        ("January 15, 2024", "May 15, 2024"),
        ("2024-01-15T10:30", "2024-01-15T11:30"),
        ("10:30", "11:30"),
        ("4:3", "16:3"),
        ("10 to 15 km", "12 to 15 km"),
        ("3, 4", "5, 4"),
        ("(3, 4)", "(5, 4)"),
        ("3 hours 20 minutes", "5 hours 20 minutes"),
        ("12 apples and 30 pears", "11 apples and 30 pears"),
        ("10 000", "20 000"),
        ("10 000", "10 00"),
        ("2, -5", "2-5"),
        ("3:45 AM", "3:45 PM"),
        ("3 AM", "3 PM"),
        ("192.168.0.1", "192.168.2.1"),
        ("version 1.2.3", "version 2.2.3"),
        ("x = 3, y = 4", "x = 5, y = 4"),
        ("5-3", "7-3"),
    ],
)
def test_a_number_that_is_one_part_of_a_value_is_not_the_value(answer, other):
    assert answer_value(answer) != answer_value(other)
    assert answer_value(answer) == answer_value(f"The answer:\n {answer}.")


@pytest.mark.parametrize(
    "answer",
    [
        "12 + 30 = 42",
        "12 plus 30 is 42.",
        "First 12, then 42",
        "Step 2: 42",
        "It may be 42",
        "In May he has 42",
        "= 42 km",
        "Cost = price \N{MULTIPLICATION SIGN} count = 6 \N{MULTIPLICATION SIGN} 7 = 42",
        "Since x = 40 and y = 2, x + y = 42",
        "6 \\times 7 \\implies 42",
        "84/2 \\approx 42",
        "42. May I help further?",
    ],
)
def test_a_number_that_a_sentence_ends_in_is_the_value(answer):
    assert answer_value(answer) == Fraction(42)


def test_an_increase_is_no_choice():
    assert answer_value("The answer is A 5 percent increase") == Fraction(5)

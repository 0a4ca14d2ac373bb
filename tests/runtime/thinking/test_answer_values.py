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


def test_an_increase_is_no_choice():
    assert answer_value("The answer is A 5 percent increase") == Fraction(5)

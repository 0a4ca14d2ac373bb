"""What answers say, in whatever words."""

from fractions import Fraction

import pytest

from thinkport.runtime.thinking.answer_values import Value, answer_values
from thinkport.runtime.thinking.quantities import _UNITS, UNITS, spelled_number

SAME = [
    ["1234", "1,234", "The result is 1,234.", "\\boxed{1234}", "\\boxed{1{,}234}", "It is\n1234 km."],
    ["0", "0.0", "\\boxed{0}", "so 0"],
    [
        "1/2",
        "0.5",
        "\\frac{1}{2}",
        "\\boxed{\\dfrac{1}{2}}",
        "x = .5",
        "\\frac12",
        "\N{VULGAR FRACTION ONE HALF}",
        "1 / 2",
    ],
    ["1 1/2", "1\\frac{1}{2}", "1\N{VULGAR FRACTION ONE HALF}"],
    ["-1/2", "-0.5", "-\\frac{1}{2}", "\\boxed{-\\frac12}", "x = - 0.5"],
    [
        "-3",
        "\N{MINUS SIGN}3",
        "\N{EN DASH}3",
        "\\boxed{-3}",
        "\\boxed{- 3}",
        "x = - 3",
        "minus 3",
        "It is negative 3.",
        "(-3)",
    ],
    [
        "15",
        "15 (in 2024)",
        "It is 15 (in May 2024).",
        "**15** (see step 2)",
        "15 people (out of 30)",
        "15 (rounded to 1 place)",
    ],
    [
        "16 km",
        "16km",
        "**16 km**",
        "16.0 kilometers",
        "\\boxed{16 \\text{ km}}",
        "16\\,\\mathrm{km}",
        "\\(16\\ \\text{km}\\)",
    ],
    ["50 %", "50%", "50\\%", "\\boxed{50\\%}", "50 percent", "**50 %**."],
    ["$17", "17 USD", "17$", "US$17", "17 dollars", "\\boxed{\\$17}", "USD 17.00", "It costs $17."],
    ["\N{EURO SIGN}18", "18 \N{EURO SIGN}", "18 EUR", "EUR 18", "18 euros"],
    ["90\N{DEGREE SIGN}", "90 degrees", "90^\\circ", "\\boxed{90^{\\circ}}"],
    [
        "5000",
        "5e3",
        "5 thousand",
        "5 \N{MULTIPLICATION SIGN} 10^3",
        "5 \\times 10^{3}",
        "5\\cdot10^3",
        "5.0E3",
        "It is 5e3.",
    ],
    ["0.0025", "2.5e-3", "2.5 x 10^-3", "2.5\N{MULTIPLICATION SIGN}10\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT THREE}"],
    ["7000000", "7 million", "**7** million people", "7,000,000"],
    ["19", "nineteen", "Nineteen.", "The answer is nineteen.", "\\boxed{\\text{nineteen}}", "**19**"],
    ["21", "twenty-one", "Twenty one", "It is twenty-one."],
    ["{4, 5, 6}", "{6, 5, 4}", "\\boxed{\\{5,4,6\\}}", "The set is {6, 4 and 5}."],
    ["\\sqrt{11}", "x = \\sqrt{11}", "It is \\sqrt{11}."],
    ["\\boxed{Paris}", "\\boxed{\\text{Paris}}", "\\boxed{\\textbf{Paris}}", "\\boxed{1} no: \\boxed{\\text{Paris}}"],
    [
        "B",
        "(B)",
        "B.",
        "**B**",
        "The answer is (B).",
        "Answer: B",
        "the answer is B because 3 > 2",
        "\\boxed{\\text{B}}",
        "B)",
        "Option B",
        "**Option (B)**",
        "The correct option is B.",
        "choice: B",
    ],
    ["yes", "Yes.", "YES!", "**Yes**", '"Yes."', "The answer is yes.", "**Yes.**"],
    ["\\boxed{2x + 3}", "\\boxed{2x+3}", "so \\boxed{ 2x+3 }"],
    ["\\boxed{\\sqrt{2}}", "it is \\boxed{\\sqrt{2}}."],
    ["1, 2, 3", "1,2,3", "(1, 2, 3)", "It is 1, 2, and 3."],
    ["July 4, 1776", "on July 4th, 1776.", "Jul 4 1776", "**July 4**, 1776"],
    ["3:45 PM", "at 03:45 p.m.", "3:45pm"],
    ["x = 5, y = 3", "x=5, y=3", "So x = 5 and y = 3.", "\\(x = 5\\), \\(y = 3\\)"],
    ["3 hours 20 minutes", "It takes 3 hours and 20 minutes."],
    ["2-5", "2 \N{EN DASH} 5"],
    ["60 mph", "60 miles per hour", "60 mi/h", "The speed is 60 mph."],
    ["80 km/h", "80 kilometers per hour", "80 kph", "80 km per hour."],
    ["25 \N{DEGREE SIGN}C", "25 degrees Celsius", "25 degrees C"],
    ["11 square meters", "11 sq. metres"],
    ["10 inches", "10 in", "It is 10 in."],
    ["13 cm", "\\boxed{13} cm", "$\\boxed{13}$ cm.", "\\boxed{13}\\text{ cm}", "\\boxed{13 \\text{ cm}} is the length"],
    ["3 million", "$\\boxed{3}$ million people", "\\(\\boxed{3}\\) million"],
    ["-6", "-\\boxed{6}", "x = -\\boxed{6}", "- \\boxed{-6}", "$-\\boxed{6}$"],
    ["8 lakh", "800,000"],
    ["2/7", "The probability is 2/7.", "\\frac{2}{7}"],
    ["3:15 PM", "Time: 3:15 PM"],
    ["x_1 = 2, x_2 = 3", "So x_1 = 2 and x_2 = 3.", "\\(x_1 = 2\\), \\(x_2 = 3\\)"],
]


def agree(*answers: str) -> bool:
    values = answer_values(answers)
    return None not in values and len(set(values)) == 1


def number(answer: str) -> object:
    (value,) = answer_values([answer])
    return value and value.what


@pytest.mark.parametrize("answers", SAME, ids=lambda answers: answers[0])
def test_answers_that_say_the_same_are_equal(answers):
    assert agree(*answers)


def test_answers_that_say_something_else_differ():
    values = answer_values([answers[0] for answers in SAME])
    assert len(set(values)) == len(SAME)
    assert not agree("\\boxed{2x}", "\\boxed{2y}")
    assert not agree("\\boxed{2x+3}", "\\boxed{3}")


DIFFERENT = [
    ("15", "It is 16 (see step 15)."),
    ("5 (mod 7)", "5 (mod 8)"),
    ("15 (in thousands 3)", "15"),
    ("15 (or 16)", "15"),
    ("15 (remaining: 3 left)", "3"),
    ("15 km", "15 m"),
    ("15 kg", "15 g"),
    ("50%", "0.5"),
    ("$5", "5 \N{EURO SIGN}"),
    ("12 \N{DEGREE SIGN}C", "12 \N{DEGREE SIGN}F"),
    ("5 million", "5 billion"),
    ("5 million", "5"),
    ("5k", "5"),
    ("5M", "5 m"),
    ("1,234", "1.234"),
    ("1.234,5", "1,234.5"),
    ("1,5", "1, 5"),
    ("1,5", "15"),
    ("1 234", "1, 234"),
    ("1 3/4", "3/4"),
    ("1\\frac{1}{2}", "11/2"),
    ("1\N{VULGAR FRACTION ONE HALF}", "1"),
    ("\\frac34", "34"),
    ("1/3", "0.333"),
    ("2e3", "2e-3"),
    ("2 x 10^3", "2 x 10^4"),
    ("2 x 10^3", "2"),
    ("5\N{SUPERSCRIPT TWO}", "5"),
    ("-3", "3"),
    ("\N{EN DASH}3", "3"),
    ("x = - 3", "3"),
    ("minus 3", "3"),
    ("x > 5", "x < 5"),
    ("x > 5", "5"),
    ("\\pm 5", "5"),
    ("at least 5", "at most 5"),
    ("It is not 5.", "5"),
    ("between 3 and 5", "3 and 5"),
    ("\\sqrt{5}", "5"),
    ("\N{SQUARE ROOT}5", "5"),
    ("\\sqrt{2}, \\sqrt{3}", "2, \\sqrt{3}"),
    ("5\N{GREEK SMALL LETTER PI}", "5"),
    ("5\\pi", "5"),
    ("2x", "2y"),
    ("2x", "2"),
    ("5i", "5"),
    ("f(3)", "3"),
    ("\\boxed{5!}", "\\boxed{5}"),
    ("\\boxed{1 23}", "\\boxed{12 3}"),
    ("A", "B"),
    ("Option A", "Option B"),
    ("Yes, 5 is prime.", "No, 5 is not prime."),
    ("No, it is 5.", "5"),
    ("No, it is 5.", "No, it is 6."),
    ("yes", "no"),
    ("yes", "true"),
    ("1, 2, 3", "3, 2, 1"),
    ("(1, 2)", "(2, 1)"),
    ("{1, 2, 3}", "{1, 2, 4}"),
    ("{1, 2}", "1, 2"),
    ("\\boxed{3} or \\boxed{5}", "\\boxed{3}"),
    ("\\boxed{\\text{Paris}}", "\\boxed{\\text{London}}"),
    ("five", "six"),
    ("twenty-one", "twenty"),
    ("-five", "five"),
    ("\\boxed{5} cm", "\\boxed{5} m"),
    ("-\\boxed{5}", "\\boxed{5}"),
    ("x > \\boxed{5}", "x < \\boxed{5}"),
    ("\\boxed{5} or more", "\\boxed{5}"),
    ("\\boxed{5}x", "\\boxed{5}"),
    ("5 - x", "5"),
    ("2(x + y)", "2"),
    ("x plus 5", "x minus 5"),
    ("half past 5", "quarter past 5"),
    ("5 in the morning", "5 in the evening"),
    ("the 1990s", "1990"),
    ("one hundred and 5", "5"),
    ("5 miles per hour", "5 miles"),
    ("5 km/h", "5 km/s"),
    ("5 per day", "5 per week"),
    ("5 square meters", "5 meters"),
    ("5 square meters", "5 cubic meters"),
    ("5 degrees Celsius", "5 degrees Fahrenheit"),
    ("10\N{DEGREE SIGN} N", "10\N{DEGREE SIGN} S"),
    ("10 in", "10 ft"),
    ("5 W", "5 kW"),
    ("5 MB", "5 GB"),
    ("5 nm", "5 mm"),
    ("5 CAD", "5 USD"),
    ("C$5", "$5"),
    ("5\N{PER MILLE SIGN}", "5%"),
    ("5 percentage points", "5%"),
    ("$5 M", "$5"),
    ("5 lakh", "5 crore"),
    ("5 tenths", "5 hundredths"),
    ("5 and a half hours", "5 hours"),
    ("44 BC", "44 AD"),
    ("5 years ago", "in 5 years"),
    ("before 1990", "after 1990"),
    ("a loss of $50", "a profit of $50"),
    ("5% decrease", "5% increase"),
    ("half of 10", "10"),
    ("5 or more", "5"),
    ("5 or fewer", "5 or more"),
    ("less than or equal to 5", "greater than or equal to 5"),
    ("5 < x", "5"),
    ("[5, 7)", "(5, 7]"),
    ("[5, 7]", "(5, 7)"),
    ("(-\N{INFINITY}, 5)", "(-\N{INFINITY}, 5]"),
    ("(5, \\infty)", "5"),
    ("{a, 5}", "{b, 5}"),
    ("n + 3", "m + 3"),
    ("n + 3", "3"),
    ("a/3", "3"),
    ("1/x", "1"),
    ("\N{GREEK SMALL LETTER PI}/5", "5"),
    ("\\frac{\\pi}{5}", "5"),
    ("\\frac{5}{x}", "5"),
    ("log 5", "5"),
    ("5 factorial", "5"),
    ("0.333...", "0.333"),
    ("x2", "2"),
    ("A5", "B5"),
    ("x_1 = 5, x_2 = 7", "x_1 = 6, x_2 = 7"),
    ("John: 5, Mary: 7", "John: 6, Mary: 7"),
    ("110 in base 2", "101 in base 2"),
]


@pytest.mark.parametrize(("answer", "other"), DIFFERENT)
def test_what_makes_another_answer_of_a_number_is_seen(answer, other):
    assert not agree(answer, other)
    assert not agree(f"So:\n**{answer}**", other)


def test_a_number_without_a_unit_agrees_where_no_two_units_are_said():
    assert answer_values(["15", "15 km", "15 kilometers"]) == [Value(Fraction(15), "km")] * 3
    bare, km, m, none = answer_values(["15", "15 km", "15 m", None])
    assert len({bare, km, m}) == 3
    assert none is None
    assert agree("50", "50 %")
    assert agree("10 to 15", "10 to 15 km")
    assert not agree("10 to 15 m", "10 to 15 km")


@pytest.mark.parametrize("value", range(100))
def test_numbers_in_words_are_those_in_digits(value):
    ones = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    if value >= 20:
        assert spelled_number(f"{tens[value // 10]} {ones[value % 10]}") == value
    assert spelled_number(str(value)) is None
    assert spelled_number("one hundred") is spelled_number("twenty-zero") is None


def test_every_unit_has_one_meaning():
    assert UNITS["km"] != UNITS["m"] != UNITS["mm"]
    assert all(UNITS[unit] == unit for unit in UNITS.values())
    written = [word for line in _UNITS for word in line.split()]
    assert len(written) == len(set(written))


@pytest.mark.parametrize(
    "answer", ["", "Paris", "It rains.", "In 1990 it rained.\nIt does not any more.", "A house is red.", '{"a": true}']
)
def test_answers_in_words_can_not_be_compared(answer):
    assert number(answer) is None


def test_the_last_number_of_the_last_line_counts():
    assert number("First 12, then 30.\nThat makes 12 + 30 = 42") == Fraction(42)


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
    assert number(answer) != number(other)
    assert agree(answer, f"The answer:\n {answer}.")


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
    assert number(answer) == Fraction(42)


def test_an_increase_is_no_choice():
    assert number("The answer is A 5 percent increase") == Fraction(5)

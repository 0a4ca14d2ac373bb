"""When an answer counts as right, comparison by comparison."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.deploy.evaluation.comparison import Comparison, matches
from thinkport.runtime.thinking.boxes import last_box
from thinkport.runtime.thinking.number_text import last_number, numbers


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("42", "42", True),
        (" 42\n", "42", True),
        ("42.", "42", False),
        ("042", "42", False),
        ("Paris", "paris", False),
        ("", "42", False),
    ],
)
def test_exact_is_the_same_text_but_for_white_space_around_it(answer: str, expected: str, right: bool) -> None:
    assert matches(Comparison.EXACT, answer, expected) is right


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("So she pays 1,234 dollars.", "1234", True),
        ("1{,}234", "1,234", True),
        ("The total is $1,234.50.", "1234.5", True),
        ("First 12, then 34", "34", True),
        ("First 12, then 34", "12", False),
        ("It is -3.", "-3", True),
        ("It is -3.", "3", False),
        ("It is \N{MINUS SIGN}3", "-3", True),
        ("x=-2", "-2", True),
        ("5-3", "3", True),  # a difference, not minus three
        ("-$5", "-5", True),
        ("- 5 apples", "5", True),  # a bullet
        ("**42**", "42", True),
        ("42.0", "42", True),
        ("42.", "42", True),
        (".5", "0.5", True),
        ("1/2", "0.5", True),
        ("\\frac{1}{2}", "1/2", True),
        ("-\\dfrac{3}{4}", "-0.75", True),
        ("0.333", "1/3", False),
        ("1/0", "0", True),  # no fraction: a one and a zero
        ("50 %", "50", True),
        ("12 km/h", "12", True),
        ("3 \\text{ cm}", "3", True),
        ("1.5e3 m", "1500", True),
        ("2e999999999", "2", False),
        ("\\boxed{7} as 3+4 is 7, not 8", "7", True),
        ("no number", "0", False),
        ("", "0", False),
        ("9" * 100_000, "9", False),
    ],
)
def test_number_takes_the_last_number_whatever_its_writing(answer: str, expected: str, right: bool) -> None:
    assert matches(Comparison.NUMBER, answer, expected) is right


@given(st.integers(-(10**12), 10**12))
def test_every_whole_number_is_read_back_with_and_without_thousands(value: int) -> None:
    assert numbers(f"it is {value}.") == [value]
    assert last_number(f"it is {value:,}!") == value


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=3))
def test_every_decimal_is_read_back_exactly(value) -> None:
    assert last_number(f"{value} kg") == Fraction(value)


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("The capital is Paris.", r"\bParis\b", True),
        ("Parisian", r"\bParis\b", False),
        ("PARIS", "(?i)paris", True),
        ("42 of 43", r"^42$", False),
        ("42", r"^\d+$", True),
    ],
)
def test_regex_looks_for_the_pattern_anywhere(answer: str, expected: str, right: bool) -> None:
    assert matches(Comparison.REGEX, answer, expected) is right


@pytest.mark.parametrize(
    ("answer", "box"),
    [
        ("so \\boxed{5}.", "5"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{1}, no, \\boxed{2}", "2"),
        ("\\boxed{1} and then \\boxed{2", "1"),  # the last one was cut
        ("\\boxed{\\boxed{3}}", "3"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed {4}", "4"),
        ("\\boxed{}", ""),
        ("\\boxed{", None),
        ("boxed{5}", None),
        ("5", None),
    ],
)
def test_the_last_closed_box_is_found(answer: str, box: str | None) -> None:
    assert last_box(answer) == box


BOXED = [
    ("\\frac{1}{2}", "0.5", True),
    ("\\dfrac{1}{2}", "\\frac12", True),
    ("1,234", "1234", True),
    ("-3", "3", False),
    ("5.", "5", True),
    ("$5$", "5", True),
    ("10\\text{ cm}", "10", True),
    ("x=5", "5", True),
    ("90^\\circ", "90", True),
    ("2\\sqrt{2}", "\\sqrt{8}", True),
    ("(x+1)^2", "x^2+2x+1", True),
    ("\\left(3, \\frac{\\pi}{2}\\right)", "(3,\\pi/2)", True),
    ("(2, 1)", "(1, 2)", False),
    ("\\{2, 1\\}", "\\{1, 2\\}", True),
    ("[1, 2]", "(1, 2)", False),
    ("\\text{Evelyn}", "\\text{Evelyn}", True),
    ("\\text{Angela}", "\\text{Evelyn}", False),
    ("\\text{(C)}", "C", True),
    ("0.333", "\\frac{1}{3}", False),
    ("\\frac{1", "1", False),
    ("", "5", False),
]


@pytest.mark.parametrize(("box", "expected", "right"), BOXED)
def test_boxed_mathematics_is_right_where_it_means_the_same(box: str, expected: str, right: bool) -> None:
    pytest.importorskip("math_verify", reason="math-verify is not installed")
    assert matches(Comparison.BOXED, f"Thus $\\boxed{{{box}}}$ is the answer.", expected) is right


def test_an_answer_without_a_box_is_wrong_even_if_it_says_the_value() -> None:
    assert not matches(Comparison.BOXED, "The answer is 5.", "5")


def test_of_several_boxes_the_last_one_counts() -> None:
    pytest.importorskip("math_verify", reason="math-verify is not installed")
    assert matches(Comparison.BOXED, "\\boxed{4}? No: \\boxed{5}", "5")
    assert not matches(Comparison.BOXED, "\\boxed{5}? No: \\boxed{4}", "5")

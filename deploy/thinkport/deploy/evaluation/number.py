r"""Numbers as people and models write them in text: `1,234`, `-$5.50`, `3/4`, `1e-5`, `\frac{1}{2}`.

Units, currencies and percent signs say nothing here: `50 %` is 50.
"""

import re
from fractions import Fraction

# Lengths are bounded: a looping model writes digits without end, and Python refuses to read thousands of them.
_DIGITS = r"(?:(?:\d{1,3}(?:,\d{3}){1,30}(?!\d)|\d{1,300})(?:\.\d{1,300})?|\.\d{1,300})"
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)\]}])-(?=\\?\$?[\d.]))?(?:\\?\$)?"  # the minus of 5-3 is no sign
    rf"(?P<value>{_DIGITS}(?:[eE][-+]?\d{{1,3}}(?![\d.]))?)"
    r"(?:\s?/\s?(?P<divisor>[1-9]\d{0,300})(?![\d.]))?",
    re.ASCII,
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}")


def numbers(text: str) -> list[Fraction]:
    """Every number of a text, in order and exact; `a/b` is one number."""
    return [_value(found) for found in _NUMBER.finditer(_plain(text))]


def last_number(text: str) -> Fraction | None:
    """The number that a text ends on, or None if it has none."""
    found = numbers(text)
    return found[-1] if found else None


def _plain(text: str) -> str:
    text = text.replace("\N{MINUS SIGN}", "-").replace("{,}", ",").replace("\\!", "").replace("\\,", "")
    return _LATEX_FRACTION.sub(r"\1/\2", text)


def _value(found: re.Match[str]) -> Fraction:
    value = Fraction(found["value"].replace(",", ""))
    value /= int(found["divisor"] or 1)
    return -value if found["sign"] else value

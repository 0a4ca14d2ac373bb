r"""Numbers as people and models write them in text: `1,234`, `-$5.50`, `3/4`, `1e-5`, `\frac{1}{2}`.

Units, currencies and percent signs are ignored: `50 %` is 50.
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
    text = text.replace("\N{MINUS SIGN}", "-").replace("{,}", ",").replace("\\!", "").replace("\\,", "")
    found = []
    for match in _NUMBER.finditer(_LATEX_FRACTION.sub(r"\1/\2", text)):
        value = Fraction(match["value"].replace(",", "")) / int(match["divisor"] or 1)
        found.append(-value if match["sign"] else value)
    return found


def last_number(text: str) -> Fraction | None:
    """The last number of a text, or None if it has none."""
    found = numbers(text)
    return found[-1] if found else None

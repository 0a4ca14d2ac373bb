r"""The numbers of a text, as people and models write them.

`1,234`, `-$5.50`, `3/4`, `1e-5`, `2 \times 10^3`, `\frac{1}{2}`. Knows texts; must not know what a number answers.
"""

import re
import unicodedata
from fractions import Fraction

# Lengths are bounded: a looping model writes digits without end, and Python refuses to read thousands of them.
_DIGITS = r"(?:(?:\d{1,3}(?:,\d{3}){1,30}(?!\d)|\d{1,300})(?:\.\d{1,300})?|\.\d{1,300})"
NUMBER = re.compile(
    r"(?P<sign>(?<![\w)\]}])-(?=\\?\$?[\d.]))?(?:\\?\$)?"  # the minus of 5-3 is no sign
    rf"(?P<value>{_DIGITS}(?:[eE][-+]?\d{{1,3}}(?!\d|\.\d))?)"
    r"(?:\s?/\s?(?P<divisor>[1-9]\d{0,300})(?!\d|\.\d))?",
    re.ASCII,
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}|(\d)\s*(\d)(?!\d))")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")  # a fraction that is one character
_RAISED = re.compile("[\u207b\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_POWER_OF_TEN = re.compile(
    r"(\d)\s*(?:[x*\u00d7\u00b7\u22c5]|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{?\s*(-?\d{1,2})\s*\}?(?!\d|\.\d)"
)
_DASHED = re.compile(r"((?:^|[\s$=({:*]))[\u2012\u2013](?=[\d.])", re.MULTILINE)
_SIGNED = re.compile(
    r"((?:[=({]|\bis\b)[ \t]*)-\s+(?=[\d.])|((?:^|[=({:*]|\bis\b)[ \t]*)(?:minus|negative)\s+(?=[\d.])",
    re.IGNORECASE | re.MULTILINE,
)


def numbers(text: str) -> list[Fraction]:
    """Every number of a text, in order and exact; `a/b` counts as one."""
    return [number_of(match) for match in NUMBER.finditer(plain(text))]


def plain(text: str) -> str:
    """A text whose numbers are written as `NUMBER` reads them."""
    text = text.replace("\N{MINUS SIGN}", "-").replace("{,}", ",").replace("\\!", "").replace("\\,", "")
    text = _LATEX_FRACTION.sub(lambda found: _apart(found, f"{found[1] or found[3]}/{found[2] or found[4]}"), text)
    text = _VULGAR.sub(lambda found: _apart(found, _folded(found[0]).replace("\u2044", "/")), text)
    text = _RAISED.sub(lambda found: "^" + _folded(found[0]).replace("\N{MINUS SIGN}", "-"), text)
    text = _DASHED.sub(r"\1-", _POWER_OF_TEN.sub(r"\1e\2", text))
    return _SIGNED.sub(lambda found: (found[1] or found[2] or "") + "-", text)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _apart(found: re.Match[str], fraction: str) -> str:
    """A fraction, apart from the digits of a whole number before it."""
    return f" {fraction}" if found.string[: found.start()][-1:].isdigit() else fraction


def number_of(match: re.Match[str]) -> Fraction:
    """The number that a match of `NUMBER` is."""
    value = Fraction(match["value"].replace(",", "")) / int(match["divisor"] or 1)
    return -value if match["sign"] else value


def last_number(text: str) -> Fraction | None:
    """The last number of a text; None if it has none."""
    found = numbers(text)
    return found[-1] if found else None

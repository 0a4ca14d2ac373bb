r"""Whether an answer is the expected one: exactly, as a number, by a pattern, or as mathematics in a box.

Knows two texts; must not know where they come from. Numbers are read as people and models write them: `1,234`,
`-$5.50`, `3/4`, `1e-5`, `\frac{1}{2}`. Units, currencies and percent signs are ignored: `50 %` is 50.
"""

import os
import re
import threading
from enum import StrEnum
from fractions import Fraction

from thinkport.runtime.errors import InputError

# Lengths are bounded: a looping model writes digits without end, and Python refuses to read thousands of them.
_DIGITS = r"(?:(?:\d{1,3}(?:,\d{3}){1,30}(?!\d)|\d{1,300})(?:\.\d{1,300})?|\.\d{1,300})"
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)\]}])-(?=\\?\$?[\d.]))?(?:\\?\$)?"  # the minus of 5-3 is no sign
    rf"(?P<value>{_DIGITS}(?:[eE][-+]?\d{{1,3}}(?![\d.]))?)"
    r"(?:\s?/\s?(?P<divisor>[1-9]\d{0,300})(?![\d.]))?",
    re.ASCII,
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}")
_BOX = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_SECONDS = 5  # for reading an expression and for comparing two; powers of powers would take forever


def numbers(text: str) -> list[Fraction]:
    """Every number of a text, in order and exact; `a/b` counts as one."""
    text = text.replace("\N{MINUS SIGN}", "-").replace("{,}", ",").replace("\\!", "").replace("\\,", "")
    found = []
    for match in _NUMBER.finditer(_LATEX_FRACTION.sub(r"\1/\2", text)):
        value = Fraction(match["value"].replace(",", "")) / int(match["divisor"] or 1)
        found.append(-value if match["sign"] else value)
    return found


def last_number(text: str) -> Fraction | None:
    """The last number of a text; None if it has none."""
    found = numbers(text)
    return found[-1] if found else None


class Comparison(StrEnum):
    r"""How an answer is held against the expected one.

    exact: the same text, but for white space around it. number: the last number of the answer, or of its last
    `\boxed{}` if it has one, has the expected value. regex: the expected pattern is found in the answer. boxed: the
    answer's last `\boxed{}` is the expected mathematics, as math-verify sees it; an answer without a box is wrong.
    """

    EXACT = "exact"
    NUMBER = "number"
    REGEX = "regex"
    BOXED = "boxed"


def matches(comparison: Comparison, answer: str, expected: str) -> bool:
    """Whether the answer is right; `expected` was checked when its suite was read."""
    match comparison:
        case Comparison.EXACT:
            return answer.strip() == expected.strip()
        case Comparison.NUMBER:
            number = last_number(last_box(answer) or answer)
            return number is not None and number == last_number(expected)
        case Comparison.REGEX:
            return re.search(expected, answer) is not None
        case Comparison.BOXED:
            box = last_box(answer)
            return box is not None and equivalent(box, expected)


def comparison_named(name: object, *, said: str) -> Comparison | None:
    """The comparison that an option or a field names, `said`; None without a name.

    Raises:
        InputError: there is none of that name.
    """
    try:
        return None if name is None else Comparison(str(name))
    except ValueError:
        raise InputError(f"{said} is {name!r}, expected {', '.join(Comparison)}") from None


def last_box(text: str) -> str | None:
    r"""The content of the last closed `\boxed{}`, the inner one of nested boxes; None without a box."""
    for start in reversed([found.end() for found in _BOX.finditer(text)]):
        if (end := _closing(text, start)) is not None:
            return text[start:end]
    return None


def equivalent(found: str, expected: str) -> bool:
    """True when two LaTeX expressions mean the same: the same text but for white space, or by math-verify."""
    found, expected = (latex.strip().strip("$").rstrip(".").strip() for latex in (found, expected))
    if "".join(found.split()) == "".join(expected.split()):
        return True
    from math_verify import parse, verify

    # Its time limit is an alarm signal: only a main thread takes one, and Windows has none.
    alarms = os.name == "posix" and threading.current_thread() is threading.main_thread()
    limit = _SECONDS if alarms else 0
    gold, said = (parse(f"\\boxed{{{latex}}}", parsing_timeout=limit) for latex in (expected, found))
    return bool(verify(gold, said, timeout_seconds=limit))


def _closing(text: str, start: int) -> int | None:
    """The place of the brace that closes the one before `start`; escaped braces do not count."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return None

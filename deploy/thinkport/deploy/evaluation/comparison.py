"""Whether an answer is the expected one: exactly, as a number, by a pattern, or as mathematics in a box.

Knows two texts; must not know where they come from.
"""

import re
from collections.abc import Callable
from enum import StrEnum

from thinkport.deploy.evaluation.boxed import equivalent, last_box
from thinkport.deploy.evaluation.number import last_number


class Comparison(StrEnum):
    r"""How an answer is held against the expected one.

    exact: the same text, white space around it apart. number: the last number of the answer, of its last `\boxed{}` if
    it has one, has the expected value. regex: the expected pattern is found in the answer. boxed: the answer's last
    `\boxed{}` is the expected mathematics, as math-verify sees it; an answer without a box is wrong.
    """

    EXACT = "exact"
    NUMBER = "number"
    REGEX = "regex"
    BOXED = "boxed"


def matches(comparison: Comparison, answer: str, expected: str) -> bool:
    """True when the answer is right; `expected` is one that its suite's reader has let pass."""
    return _RULES[comparison](answer, expected)


def _exact(answer: str, expected: str) -> bool:
    return answer.strip() == expected.strip()


def _number(answer: str, expected: str) -> bool:
    found = last_number(last_box(answer) or answer)
    return found is not None and found == last_number(expected)


def _regex(answer: str, expected: str) -> bool:
    return re.search(expected, answer) is not None


def _boxed(answer: str, expected: str) -> bool:
    found = last_box(answer)
    return found is not None and equivalent(found, expected)


_RULES: dict[Comparison, Callable[[str, str], bool]] = {
    Comparison.EXACT: _exact,
    Comparison.NUMBER: _number,
    Comparison.REGEX: _regex,
    Comparison.BOXED: _boxed,
}

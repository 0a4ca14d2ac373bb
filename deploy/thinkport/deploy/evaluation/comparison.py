"""Whether an answer is the expected one: exactly, as a number, by a pattern, or as mathematics in a box.

Knows two texts; must not know where they come from.
"""

import os
import re
import threading
from enum import StrEnum

from thinkport.runtime.errors import InputError
from thinkport.runtime.thinking.boxes import last_box
from thinkport.runtime.thinking.number_text import last_number

_SECONDS = 5  # for reading an expression and for comparing two; powers of powers would take forever


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

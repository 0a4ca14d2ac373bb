r"""Where a text has a `\boxed{}`, in which models put answers.

Knows braces; must not know what a box holds.
"""

import re

_BOX = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def last_box(text: str) -> str | None:
    r"""The content of the last closed `\boxed{}`, the inner one of nested boxes; None without a box."""
    span = last_span(text)
    return None if span is None else text[slice(*span)]


def last_span(text: str) -> tuple[int, int] | None:
    """Where the content of the last closed box begins and ends."""
    for start in reversed([found.end() for found in _BOX.finditer(text)]):
        if (end := _closing(text, start)) is not None:
            return start, end
    return None


def _closing(text: str, start: int) -> int | None:
    """The place of the brace that closes the one before `start`; escaped braces do not count."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return None

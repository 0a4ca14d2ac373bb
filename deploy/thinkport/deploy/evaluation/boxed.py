r"""Mathematics in `\boxed{}`: finding it in an answer, and whether two expressions are one (by math-verify)."""

import os
import re
import threading

_BOX = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_SECONDS = 5  # for reading an expression and for comparing two; powers of powers would take forever


def last_box(text: str) -> str | None:
    r"""What stands in the last `\boxed{}` that is closed, the inner one of nested boxes; None without one."""
    for start in reversed([found.end() for found in _BOX.finditer(text)]):
        if (end := _closing(text, start)) is not None:
            return text[start:end]
    return None


def equivalent(found: str, expected: str) -> bool:
    """True when two LaTeX expressions mean the same: the same text but for white space, or by math-verify."""
    found, expected = _tidy(found), _tidy(expected)
    return "".join(found.split()) == "".join(expected.split()) or _verified(found, expected)


def _closing(text: str, start: int) -> int | None:
    """Where the brace closes that is open at `start`; an escaped one counts for nothing."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return None


def _tidy(latex: str) -> str:
    return latex.strip().strip("$").rstrip(".").strip()


def _verified(found: str, expected: str) -> bool:
    from math_verify import parse, verify

    # Its time limit is an alarm signal: only a main thread takes one, and Windows has none.
    alarms = os.name == "posix" and threading.current_thread() is threading.main_thread()
    limit = _SECONDS if alarms else 0
    gold, said = (parse(f"\\boxed{{{latex}}}", parsing_timeout=limit) for latex in (expected, found))
    return bool(verify(gold, said, timeout_seconds=limit))

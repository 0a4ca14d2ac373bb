r"""What an answer says, so that answers in other words can be compared: a number, what is in a box, a choice.

Knows a text; must not know where it comes from. Numbers are read as people and models write them: `1,234`, `-$5.50`,
`3/4`, `1e-5`, `\frac{1}{2}`. Units, currencies and percent signs are ignored: `50 %` is 50.
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
_BOX = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_CHOICE = r"\**\(?([A-J])\)?\**"
_WHOLE_CHOICE = re.compile(rf"{_CHOICE}[.:)]?")
_NAMED_CHOICE = re.compile(
    rf"(?i:\banswer\b(?:\s+is|\s*:)*)\**:?\s*{_CHOICE}(?=[.,:;\s]*$|[.,:;]\s|\s+(?:because|since|as)\b)", re.M
)
_TEXT = re.compile(r"\\(?:text|mathrm|mathbf)\s*\{([^{}]*)\}")
_EXPRESSION = re.compile(r"[=^]|\d[A-Za-z]|\\(?![dt]?frac)[A-Za-z]|[A-Za-z]\d")  # more than a number
_WORDS = ("yes", "no", "true", "false")


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


def answer_value(answer: str) -> Fraction | str | None:
    r"""What an answer says; equal for answers that say the same. None where that can't be told.

    1. What its last `\boxed{}` holds: as 2 to 4, or else its text without white space.
    2. A choice from A to J that is the whole answer, or that it names as its answer (`the answer is (B)`).
    3. `yes`, `no`, `true` or `false`, where it says nothing else.
    4. The last number of its last line.
    """
    box = last_box(answer)
    if box is None:
        return _value(answer)
    text = _TEXT.sub(r"\1", box).strip().strip("$")
    found = None if _EXPRESSION.search(text) or len(numbers(text)) > 1 else _value(text)
    return "".join(text.split()) if found is None else found


def _value(text: str) -> Fraction | str | None:
    text = text.strip()
    if whole := _WHOLE_CHOICE.fullmatch(text):
        return whole[1]
    if named := _NAMED_CHOICE.findall(text):
        return str(named[-1])
    if (word := text.rstrip(".!").casefold()) in _WORDS:
        return word
    return last_number(text.splitlines()[-1]) if text else None


def last_box(text: str) -> str | None:
    r"""The content of the last closed `\boxed{}`, the inner one of nested boxes; None without a box."""
    for start in reversed([found.end() for found in _BOX.finditer(text)]):
        if (end := _closing(text, start)) is not None:
            return text[start:end]
    return None


def _closing(text: str, start: int) -> int | None:
    """The place of the brace that closes the one before `start`; escaped braces do not count."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return None

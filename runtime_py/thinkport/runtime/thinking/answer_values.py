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
_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|(?-i:Mar(?:ch)?)|apr(?:il)?|(?-i:May)|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    "oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
_MONTH = re.compile(rf"\b(?:{_MONTHS})\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_JOINS = frozenset(["and", "or", "to", "of", "the", "by", "x", "st", "nd", "rd", "th"])
_RESULT = re.compile(r"\b(?:is|are|was|were|be|equals?|makes?|gives?|leaves?|becomes?|means?)\b", re.IGNORECASE)
_AHEAD = re.compile(  # a value of its own follows
    r"[=<>\u2248\u2260\u2261\u2264\u2265\u2192\u21d2\u27f9]|:\s|^\s*[.,;]\s*(?!(?:and|or)\W*$)[^\W\d]|"
    r"\\(?:approx|simeq|equiv|to|implies|(?:[Ll]ong)?[Rr]ightarrow)\b"
)
_NAME = re.compile(r"[A-Za-z]\w{0,40}\s?=[\s$\\({]{0,9}$")
_NEXT_NAME = re.compile(r"[\s$\\)}]*[,;]?\s*(?:and|or)?[\s$\\({]*[A-Za-z]\w{0,40}\s?=[\s$\\({]*", re.IGNORECASE)
_HALF = re.compile(r"\s?([ap])\.?m\b", re.IGNORECASE)  # of a day
_FILLING = re.compile(r"[*$,;(){}\\\s]|\b(?:and|of|the)\b|(?<=\d)(?:st|nd|rd|th)\b")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013"), "-")


def numbers(text: str) -> list[Fraction]:
    """Every number of a text, in order and exact; `a/b` counts as one."""
    return [_number(match) for match in _NUMBER.finditer(_plain(text))]


def _plain(text: str) -> str:
    text = text.replace("\N{MINUS SIGN}", "-").replace("{,}", ",").replace("\\!", "").replace("\\,", "")
    return _LATEX_FRACTION.sub(r"\1/\2", text)


def _number(match: re.Match[str]) -> Fraction:
    value = Fraction(match["value"].replace(",", "")) / int(match["divisor"] or 1)
    return -value if match["sign"] else value


def last_number(text: str) -> Fraction | None:
    """The last number of a text; None if it has none."""
    found = numbers(text)
    return found[-1] if found else None


def answer_value(answer: str) -> Fraction | str | None:
    r"""What an answer says; equal for answers that say the same. None where that can't be told.

    1. What its last `\boxed{}` holds: as 2 to 4, or else its text without white space.
    2. A choice from A to J that is the whole answer, or that it names as its answer (`the answer is (B)`).
    3. `yes`, `no`, `true` or `false`, where it says nothing else.
    4. The last number of its last line; the text of all parts where it is only one part of a date, a time, a range, a
       list, an amount in several units or several assignments. Commas, small words and spaces make no difference there.
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
    return _last_value(_plain(text.splitlines()[-1])) if text else None


def _last_value(line: str) -> Fraction | str | None:
    marks = sorted([*_NUMBER.finditer(line), *_MONTH.finditer(line)], key=re.Match.start)
    while marks and marks[-1].re is _MONTH and (len(marks) == 1 or not _joined(line, *marks[-2:])):
        marks.pop()
    if not marks:
        return None
    first = len(marks) - 1
    while first and _joined(line, *marks[first - 1 : first + 1]):
        first -= 1
    half = _HALF.match(line, marks[-1].end())
    if first == len(marks) - 1 and half is None:
        return _number(marks[-1])
    start = marks[first].start()
    if first < len(marks) - 1 and (name := _name(line, marks[first])):
        start -= len(name)
    return _same(line, start, marks[first:]) + (half[1].casefold() if half else "")


def _joined(line: str, left: re.Match[str], right: re.Match[str]) -> bool:
    """Whether two numbers, or a number and a month, are parts of one value, or of two that have names."""
    between = line[left.end() : right.start()]
    if _NEXT_NAME.fullmatch(between):
        return bool(_name(line, left))
    words = {word.casefold() for word in _WORD.findall(between)} - _JOINS
    most = 0 if _MONTH in (left.re, right.re) else 1  # such as the hours of 3 hours 20 minutes
    if right.re is _MONTH and "." in between:  # another sentence
        return False
    return len(words) <= most and not _RESULT.search(between) and not _AHEAD.search(between)


def _name(line: str, mark: re.Match[str]) -> str:
    """The name with an equals sign that stands before a number; empty without one."""
    found = _NAME.search(line[max(0, mark.start() - 64) : mark.start()])
    return found[0] if found else ""


def _same(line: str, at: int, marks: list[re.Match[str]]) -> str:
    """The marks and what is between them, without what changes no value."""
    said = list[str]()
    for mark in marks:
        number = mark.re is _NUMBER
        said += [line[at : mark.start()], mark[0].replace(",", "").replace("$", "") if number else mark[0][:3]]
        at = mark.end()
    text = _FILLING.sub(" ", "".join(said).casefold().translate(_DASHES))
    text = re.sub(r"(?<![\d.])0(?=[1-9](?!\d))", "", " ".join(text.split()))
    return re.sub(r"\s?([=:/\u00d7])\s?| (-) ", r"\1\2", text)


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

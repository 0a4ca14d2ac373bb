r"""What answers say, so that answers in other words can be compared: a number, what is in a box, a choice.

Knows texts; must not know where they come from. What is not understood stays text, which equals the same text only: two
answers that differ should never be taken for one; one answer in two writings may be taken for two.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from thinkport.runtime.thinking.boxes import last_span
from thinkport.runtime.thinking.number_text import NUMBER, number_of, numbers, plain
from thinkport.runtime.thinking.quantities import CIRCLE, SCALE, SCALES, known_unit, spelled_number, unit_beside

_BOX_OPENS = re.compile(r"\\boxed\s*\{$")
_MINUS = re.compile(r"(?:^|[\s=({:$*])[-\u2212]\$?$")
_FORMULA = re.compile(r"(?<!\\)\$|\\[()\[\]]")  # what LaTeX's formulas stand between
_CHOICE = r"\**\(?([A-J])\)?\**"
_WHOLE_CHOICE = re.compile(rf"{_CHOICE}[.:)]?")
_NAMED_CHOICE = re.compile(
    rf"(?i:\banswer\b(?:\s+is|\s*:)*)\**:?\s*{_CHOICE}(?=[.,:;\s]*$|[.,:;]\s|\s+(?:because|since|as)\b)", re.M
)
_OPTION = re.compile(
    rf"(?i:(?:the\s+)?(?:correct\s+|right\s+|best\s+)?(?:option|choice)(?:\s+is|\s*:)?)\s*{_CHOICE}\.?"
)
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_EXPRESSION = re.compile(r"[=^]|\d[A-Za-z!]|\\(?![dt]?frac)[A-Za-z]|[A-Za-z]\d")  # more than a number
_POWERS = re.compile(r"(?<=\d)[eE](?=-?\d)")
_WORD_ALONE = re.compile(r"(?:the answer is\b\W*)?(yes|no|true|false)[.!]*", re.IGNORECASE)
_MARKS = "*_\"'` "  # of Markdown, and quotes
_WORD_FIRST = re.compile(r"(?:yes|no|true|false)\b", re.IGNORECASE)
_SPELLED = re.compile(
    r"(?:(?:the (?:answer|result)|it|that) (?:is|equals)\s)?[^\w\-\u2212\u2013]*([a-z]+(?:[\s-][a-z]+)?)\W*", re.I
)
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
_NAMED = r"[A-Za-z]\w{0,40}(?:\{\w{1,9}\})?\s?[=:]"
_NAME = re.compile(rf"{_NAMED}[\s$\\({{]{{0,9}}$")
_NEXT_NAME = re.compile(rf"[\s$\\)}}]*[,;]?\s*(?:and|or)?[\s$\\({{]*{_NAMED}[\s$\\({{]*", re.IGNORECASE)
_LETTER = re.compile(r"(?<![A-Za-z\\])[A-Za-z]_?\{?$")  # whose number is an index, as in x_1 and A5
_INDEXED = re.compile(r"\}?\s?=")
_BASE = re.compile(r"\s*(?:in\s+)?base[\s-]*", re.IGNORECASE)
_HALF = re.compile(r"\s?([ap])\.?m\b", re.IGNORECASE)  # of a day
_FILLING = re.compile(r"[*$,;(){}\\\s]|\b(?:and|of|the)\b|(?<=\d)(?:st|nd|rd|th)\b")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013"), "-")
_YEAR = r"(?:in|as of|since|before|after|until|by)(?: the year)? (?:[a-z]{3,9}\.? )?\d{4}"
_REMARK = re.compile(  # behind a value, which it does not change
    rf"(?<=[^\s(])\s+\((?:{_YEAR}|(?:see|cf\.)\s[^()]*|out of (?:the )?\d[\d,]*|rounded[^()]*)\)(?=[\s.!*$]*$)", re.I
)
_CHANGED = re.compile(  # what makes another value of the number behind it
    r"(?:(?:(?<![-=])>|<)=?|[\u2260\u2264\u2265\u00b1\u221a\u221b^_]|[A-Za-z]\(|[(\[]\s?\w{1,3}\s?,|"
    r"(?:(?<![^\W_])[^\W\d_]|\)|\\[A-Za-z]+)\s?[-+/\u00b7\u00d7]|[^\W\d_]\s?\+|(?:\u221e|\\infty|\binf(?:inity)?)\s?,|"
    r"\\(?:leq?|geq?|neq?|lt|gt|pm|mp|sqrt|log|ln|exp|sin|cos|tan)\b(?:\[\d*\])?|"
    r"\\[dt]?frac(?:\s*\{[^{}]*\})?|\b(?:sqrt|log|ln|exp|sin|cos|tan)|"
    r"\b(?i:not|at least|at most|(?:more|less|fewer|greater|larger|smaller) than(?: or equal to)?|over|under|above|"
    r"below|between|up to|before|exceeds|half of|twice|double|triple|"
    r"(?:loss|deficit|debt|decrease|decline|drop|reduction) of|(?:decreased|declined|fell|dropped|reduced) by|lost|"
    r"(?:hundred|thousand|million) and|"
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten) (?:in|of|out of|or|and)|early|late|mid-?|none of(?: the)?|"
    r"rather than|instead of|[a-z] (?:plus|minus|times|divided by)|"
    r"(?:half|quarter|five|ten|twenty|minutes) (?:past|to))"
    r"\b)[\s$*\\({]*$"
)
_ALGEBRA = re.compile(
    r"\s*(?:[\^\u221a\u00b1\u03c0\u221e+\u2260\u2264\u2265>\u2026\u0305]|<(?!/)|\.\.\.|/\s?(?:[A-Za-z]\b|[(\\])|"
    r"[-\u2212*\u00b7\u00d7]\s?[A-Za-z]\b|\(\s?[A-Za-z]\s?[-+]|"
    r",\s?(?:[-+\u2212]?\s?(?:\u221e|\\infty|inf)|[A-Za-z]\w?\s?[)\]])|"
    r"\\(?:pi|sqrt|pm|sin|cos|tan|log|ln|exp|theta|alpha|cdot|times)\b)"
)
_LATER = re.compile(  # words that make another value of the number before them, behind a unit too
    r"(?<=[12]\d\d0)'?s(?!\w)|"  # the 1990s
    r"(?:[\s*$%\u00b0]*(?:o'clock\s+)?(?:[^\W\d]+\s+){0,3})"
    r"(?:\b(?i:or (?:more|less|fewer|greater|above|below|higher|lower|over|under|older|younger)|at (?:least|most)|"
    r"and (?:a|one) (?:half|third|quarter)|half|halves|(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth|"
    r"hundredth|thousandth|millionth)s|squared|cubed|factorial|modulo|mod|choose|(?:percentage|basis) points?|"
    r"pp|mn|mln|ago|less|fewer|lower|loss|deficit|decrease|decline|drop|reduction|north|south|east|west|"
    r"counter-?clockwise|anticlockwise|in the (?:morning|afternoon|evening)|at night|noon|midnight|"
    r"(?:plus|minus|times|divided by) [a-z])|"
    r"\b(?:BCE?|CE|AD)|\bB\.C|\bA\.D|(?<=[\u00b0\s])[NSEW](?=[\s.*$]*$))(?!\w)"
)
_ALONE = re.compile(r"\s*([A-Za-z])(?=[\s.*$)]*$)")  # a letter that may be millions, or an unknown
_ATTACHED = re.compile(r"[^\W\d_]+")
_ORDINALS = ("st", "nd", "rd", "th")
_SET = re.compile(r"(?<![A-Za-z])\\?\{([^{}\\]*)\\?\}")
_SEPARATOR = re.compile(r"\s*(?:[,;]\s*and\b|[,;]|\band\b)\s*")
_BEGINS = re.compile(r"(?<![<>!=])=(?!>)|\b(?:is|are|equals?)\b|:")


class Value(NamedTuple):
    """What an answer says; `unit` as `UNITS` writes it first, squared or per another one too, None without one."""

    what: Fraction | str
    unit: str | None = None


def answer_values(answers: Sequence[str | None]) -> list[Value | None]:
    r"""What the answers to one question say; equal for those that say the same. None where that can't be told.

    1. What the last `\boxed{}` holds: as 2 to 4, with a sign and a unit around it, or else its text without white
       space.
    2. A choice from A to J that is the whole answer, or that it names as its answer (`the answer is (B)`).
    3. `yes`, `no`, `true` or `false`, where it says nothing else.
    4. A number from 0 to 99 in words that is the whole answer, or the last number of its last line; the text of all
       parts where it is only one part of a date, a time, a range, a list, a term, a comparison, an amount in several
       units or several assignments. Commas between parts, small words and spaces make no difference there.

    Units count where answers have several: 15 agrees with 15 km, unless another one says 15 m.
    """
    found = [None if answer is None else _read(answer) for answer in answers]
    units = defaultdict[Fraction | str, set[str]](set)
    for value in found:
        if value is not None and value.unit is not None:
            units[value.what].add(value.unit)
    only = {what: next(iter(ones)) for what, ones in units.items() if len(ones) == 1}
    return [value and (value if value.unit else Value(value.what, only.get(value.what))) for value in found]


def _read(answer: str) -> Value | None:
    span = last_span(answer)
    if span is None:
        return _value(answer)
    value = _read_box(answer[slice(*span)])
    if value is None or isinstance(value.what, str) or value.unit:
        return value
    before = _BOX_OPENS.sub("", answer[: span[0]].rpartition("\n")[2])
    behind = _TEXT.sub(r" \1", _FORMULA.sub("", answer[span[1] + 1 :].partition("\n")[0]))
    if changed := _CHANGED.search(before):
        return Value(f"{''.join(changed[0].split())}{value.what}")
    number = -value.what if _MINUS.search(before) else value.what
    around = None if numbers(behind) else _last_value(f"1{behind}")
    if around is None:
        return Value(number)
    if isinstance(around.what, str):
        return Value(f"{number}{around.what[1:]}")
    return Value(number * around.what, around.unit)


def _read_box(box: str) -> Value | None:
    text = plain(_TEXT.sub(r" \1", box).strip().strip("$"))
    text = re.sub(r"^-\s+(?=[\d.])", "-", text)
    if members := _set(text, 0, len(text)):
        return Value(members)
    said = CIRCLE.sub("", text.replace("\\$", "").replace("\\%", ""))
    found = None if _EXPRESSION.search(_POWERS.sub("", said)) or len(numbers(text)) > 1 else _value(text)
    return Value("".join(re.sub(r"(?<=\d)\s+(?=\d)", "_", text).split())) if found is None else found


def _value(text: str) -> Value | None:
    text = text.strip()
    if whole := _WHOLE_CHOICE.fullmatch(text):
        return Value(whole[1])
    if named := _NAMED_CHOICE.findall(text):
        return Value(str(named[-1]))
    bare = text.strip(_MARKS)
    if option := _OPTION.fullmatch(bare):
        return Value(option[1])
    if word := _WORD_ALONE.fullmatch(bare.rstrip(f".!{_MARKS}")):
        return Value(word[1].casefold())
    last = text.splitlines()[-1] if text else ""
    if any(_WORD_FIRST.match(part.strip(_MARKS)) for part in (text, last)) and numbers(
        text
    ):  # the number is no answer: yes, 5 is a prime
        return Value("".join(text.split()))
    if (spelled := _SPELLED.fullmatch(bare)) and (number := spelled_number(spelled[1])) is not None:
        return Value(Fraction(number))
    return _last_value(_REMARK.sub("", _TEXT.sub(r" \1", plain(last))))


def _last_value(line: str) -> Value | None:
    found = [mark for mark in NUMBER.finditer(line) if not (_INDEXED.match(line, mark.end()) and _index(line, mark))]
    marks = sorted([*found, *_MONTH.finditer(line)], key=re.Match.start)
    while marks and marks[-1].re is _MONTH and (len(marks) == 1 or not _joined(line, *marks[-2:])):
        marks.pop()
    if not marks:
        return None
    first = len(marks) - 1
    while first and _joined(line, *marks[first - 1 : first + 1]):
        first -= 1
    marks = marks[first:]
    start, end = marks[0].start(), marks[-1].end()
    if members := _set(line, start, end):
        return Value(members)
    half = _HALF.match(line, end)
    changed = _CHANGED.search(line[:start])
    if half is None and (changed or _index(line, marks[0]) or _goes_on(line, end)):
        begins = [found.end() for found in _BEGINS.finditer(line, 0, changed.start() if changed else start)]
        return Value(re.sub(r"[\s$*]|\.$", "", line[begins[-1] if begins else 0 :].rstrip()))
    if len(marks) == 1 and half is None:
        number = number_of(marks[0])
        while scale := SCALE.match(line, end):
            number, end = number * SCALES[scale[1].casefold()], scale.end()
        return Value(number, unit_beside(line, marks[0], end))
    if any(_NEXT_NAME.fullmatch(line[left.end() : right.start()]) for left, right in pairwise(marks)):
        start -= len(_name(line, marks[0]))
    said = _same(line, start, marks)
    ends = line[:start][-1:], line[end:].removeprefix("\\right")[:1]
    if len(marks) == 2 and ("[" in ends or "]" in ends):
        said = f"{ends[0]}{said}{ends[1]}"  # an interval's
    return (
        Value(said + half[1].casefold())
        if half
        else Value(said, unit_beside(line, marks[-1] if marks[-1].re is NUMBER else None, end))
    )


def _index(line: str, mark: re.Match[str]) -> bool:
    """Whether a number belongs to the letter before it."""
    return mark.re is NUMBER and _LETTER.search(line, max(0, mark.start() - 4), mark.start()) is not None


def _goes_on(line: str, end: int) -> bool:
    """Whether what is behind a number makes a term or another value of it, as in 2x, 5 pi, 5 or more, 44 BC."""
    if _LATER.match(line, end):
        return True
    if (letter := _ALONE.match(line, end)) and not known_unit(letter[1]):
        return True
    if circle := CIRCLE.match(line, end):
        return _ALGEBRA.match(line, circle.end()) is not None
    if attached := _ATTACHED.match(line, end):
        return attached[0] not in _ORDINALS and not (known_unit(attached[0]) or SCALE.match(line, end))
    return _ALGEBRA.match(line, end) is not None


def _set(line: str, start: int, end: int) -> str | None:
    """The numbers of a set in braces around a place, sorted, or its text; None without one."""
    for found in _SET.finditer(line):
        parts = [NUMBER.fullmatch(member.strip()) for member in _SEPARATOR.split(found[1])]
        if found.start() <= start and end <= found.end() and len(parts) > 1:
            if not all(parts):
                return "".join(found[0].split())
            return "{" + ", ".join(map(str, sorted({number_of(part) for part in parts if part}))) + "}"
    return None


def _joined(line: str, left: re.Match[str], right: re.Match[str]) -> bool:
    """Whether two numbers, or a number and a month, are parts of one value, or of two that have names."""
    between = line[left.end() : right.start()]
    if (at := between.rfind(" (")) >= 0 and ")" not in between[at:]:  # a remark, which may change the value
        return not (_RESULT.search(between[:at]) or _AHEAD.search(between[:at]))
    if _NEXT_NAME.fullmatch(between):
        return bool(_name(line, left))
    if _BASE.fullmatch(between):
        return True
    words = {word.casefold() for word in _WORD.findall(between)} - _JOINS
    most = 0 if _MONTH in (left.re, right.re) else 1  # such as the hours of 3 hours 20 minutes
    if right.re is _MONTH and "." in between:  # another sentence
        return False
    return len(words) <= most and not _RESULT.search(between) and not _AHEAD.search(between)


def _name(line: str, mark: re.Match[str]) -> str:
    """The name with an equals sign or a colon that stands before a number; empty without one."""
    found = _NAME.search(line[max(0, mark.start() - 64) : mark.start()])
    return found[0] if found else ""


def _same(line: str, at: int, marks: list[re.Match[str]]) -> str:
    """The marks and what is between them, without what changes no value."""
    said, several = list[str](), len(marks) > 2 or line[max(0, at - 1) : at] in ("(", "[")
    dated = any(mark.re is _MONTH for mark in marks)
    for mark in marks:
        number, between = mark.re is NUMBER, line[at : mark.start()]
        if mark is not marks[0] and not dated and (between.isspace() or (between == "," and not several)):
            between = "_" if between.isspace() else "\u201a"  # maybe of one number: 10 000, and 1,5 in Europe
        said += [between, mark[0].replace(",", "").replace("$", "") if number else mark[0][:3]]
        at = mark.end()
    text = _FILLING.sub(" ", "".join(said).casefold().translate(_DASHES))
    text = re.sub(r"(?<![\d.])0(?=[1-9](?!\d))", "", " ".join(text.split()))
    return re.sub(r"\s?([=:/\u00d7])\s?| (-) ", r"\1\2", text)

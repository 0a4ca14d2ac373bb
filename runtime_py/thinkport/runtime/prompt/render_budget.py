"""What one rendering of a chat template may cost: a second of the processor, and text in proportion to its messages.

Templates come from strangers. A render counts its steps, and the letters that it makes, before they are made; so a
template of a line can't fill the memory or run for hours. Knows sizes of values; must not know Jinja's syntax.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time
from typing import Any

from jinja2 import TemplateRuntimeError

SECONDS = 1.0  # of this thread's processor time; Qwen3's template takes a thousandth of it
LETTERS = 12 << 20  # that a render may make out of nothing, over all its steps
A_LETTER = 32  # what it may make of each letter that it is given
STEPS = 400_000
A_MESSAGE = 2_000  # further steps for each thing that it is given
_LOOKS = 16  # steps between two looks at the clock
_FEW, _GRACE = (
    1_000,
    5.0,
)  # so few steps have so many seconds: Python may collect the garbage of a large program in them
_ITEM, _TEXT = 8, 64  # letters that an item of a list stands for, and a text of its own
_DIGITS = 8192  # bits of the largest whole number
_WIDE = re.compile(r"[0-9]{5}|\*")  # a width in a format: of ten thousand, or taken from a value
_NUMBERS = re.compile(r"[0-9]{1,4}")
_NESTED = re.compile(r"\{[^{}]*\{")
_A_FLOAT = 320  # letters of the largest float64 in full


class RenderTooCostly(TemplateRuntimeError):  # noqa: N818 - a refusal, as Jinja's other ones
    """A template that takes too long or makes too much of what it is given."""


class RenderBudget:
    """What is left to one render that is given `letters` in `items` values.

    `keep` is told every text that a template makes, and returns it, marked if it holds marked letters.
    """

    def __init__(self, letters: int = 0, items: int = 0, keep: Callable[[Any], Any] | None = None):
        self.keep = keep or (lambda made: made)
        self._start = thread_time()
        self._letters = LETTERS + A_LETTER * letters
        self._steps = STEPS + A_MESSAGE * items
        self._soon = self._steps - _FEW
        self._next_look = self._steps - _LOOKS

    def step(self) -> None:
        """Count one step."""
        self._steps -= 1
        if self._steps <= self._next_look:
            self._look()

    def take(self, letters: int) -> None:
        """Count letters that are about to be made, or were."""
        self._letters -= letters
        if self._letters < 0:
            raise RenderTooCostly("the template makes far more text than the messages hold: export another checkpoint")

    def weigh(self, value: Any) -> None:
        """Count one step and the letters that a list or mapping would have as text, all that it holds included."""
        self.step()
        self.take(weight(value, self._letters)[0])

    def number(self, value: Any) -> None:
        """Refuse a whole number that no template needs, whose arithmetic would take long."""
        if isinstance(value, int) and value.bit_length() > _DIGITS:
            raise RenderTooCostly(f"the template makes a number of {value.bit_length()} bits")

    def made(self, value: Any) -> Any:
        """Count what a filter or method made, and return it."""
        if isinstance(value, str | bytes):
            self.take(len(value))
        elif isinstance(value, list | dict | tuple | set):
            self.take(_ITEM * len(value))
        return value

    def formatted(self, form: str | bytes, values: Any) -> None:
        """Count what a format makes of its values, for `%` and for `str.format`."""
        text = form.decode("latin-1") if isinstance(form, bytes) else str(form)
        if _WIDE.search(text) or _NESTED.search(text):
            raise RenderTooCostly("the template pads a text to a width of ten thousand or more, or to one of a value")
        places = max(1, text.count("%"), text.count("{"))
        self.take(len(text) + places * weight(values, self._letters)[0] + _spread(text, places, values))

    def _look(self) -> None:
        self._next_look = self._steps - _LOOKS
        seconds = _GRACE if self._steps > self._soon else SECONDS
        if self._steps < 0 or thread_time() - self._start > seconds:
            raise RenderTooCostly(f"the template takes longer than {SECONDS:g} s: export another checkpoint")


def _spread(text: str, places: int, values: Any) -> int:
    """Letters that a format makes of numbers beyond what they weigh: their digits, and its own widths."""
    inside = values if isinstance(values, list | tuple) else [values]
    given = [part for one in inside for part in (one.values() if isinstance(one, dict) else [one])]
    digits = (one.bit_length() if isinstance(one, int) else _A_FLOAT for one in given if isinstance(one, int | float))
    return sum(map(int, _NUMBERS.findall(text))) + places * max(digits, default=0)


def weight(value: Any, most: int = 1 << 62) -> tuple[int, int]:
    """Letters that a value would have as text, and how many values it holds; counted up to `most` letters."""
    letters, items, waiting = 0, 0, [value]
    while waiting and letters <= most:
        one = waiting.pop()
        items += 1
        if isinstance(one, str | bytes):
            letters += len(one)
        elif isinstance(one, dict):
            letters += _ITEM * len(one)
            waiting += one
            waiting += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            letters += _ITEM * len(one)
            if letters <= most:
                waiting += one
        else:
            letters += _ITEM
    return letters, items


def split_cost(text: str | bytes, separator: Any) -> int:
    """Letters that the parts of a text stand for, each with what a text of its own takes."""
    blank = separator is None
    spaces = (" ", "\n", "\t") if isinstance(text, str) else (b" ", b"\n", b"\t")
    parts = sum(map(text.count, spaces)) if blank else text.count(separator)  # type: ignore[arg-type]
    return len(text) + _TEXT * parts


_CURRENT: ContextVar[RenderBudget] = ContextVar("render_budget")


def current() -> RenderBudget:
    """The budget of the render that runs in this thread."""
    return _CURRENT.get()


@contextmanager
def limited(budget: RenderBudget) -> Iterator[None]:
    """Have what runs inside draw on a budget."""
    token = _CURRENT.set(budget)
    try:
        yield
    finally:
        _CURRENT.reset(token)

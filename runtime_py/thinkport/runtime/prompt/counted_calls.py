"""What a template's filters and the methods of its values make, counted before they make it.

Knows which of Jinja's filters and of Python's methods make much of little: pads, formats, replacements, joins.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thinkport.runtime.prompt.render_budget import RenderTooCostly, current, split_cost, weight

# Filters that pass their lists on or look at one item: what the lists hold costs nothing.
_SHALLOW = frozenset({"attr", "batch", "count", "d", "default", "first", "items", "last", "length", "list", "map"})
_SHALLOW |= {"random", "reject", "rejectattr", "reverse", "select", "selectattr", "slice"}
COMPARING = frozenset(
    ("==", "!=", "<", ">", "<=", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "in", "le", "lessthan", "lt", "ne")
)
_LARGE = 200_000  # letters that a filter which searches by patterns may be given
_PATTERNS = ("pprint", "striptags", "urlize", "wordwrap", "xmlattr")
_DIGITS, _BYTES = 100, 1000  # that a number may be rounded to, and turned into
_DEPTH = 100  # of what is written with indents
_A_TEXT = 64  # letters that a text of one letter stands for

Given = Sequence[Any]
"""Arguments behind the value that a filter or method works on, those by name at the end."""


def count_filter(name: str, given: Given, named: Mapping[str, Any]) -> None:
    """Count a filter that gets `given`, its value first, and `named`."""
    budget = current()
    value, *options = given or [None]
    options += named.values()
    for option in options:
        budget.number(option)
    if name not in _SHALLOW:
        budget.weigh([value, *options])
    if name in _PATTERNS and weight(value)[0] > _LARGE:
        raise RenderTooCostly(f"the template gives a long text to {name}")
    if name == "sum" and not isinstance(named.get("start", given[2] if len(given) > 2 else 0), int | float):
        raise RenderTooCostly("the template sums lists up, whose parts are copied again and again")
    if name in _FILTERS:
        _FILTERS[name](value, options)


def count_call(function: Any, args: Given, named: Mapping[str, Any]) -> None:
    """Count a call of a value's own method, or of one of Jinja's functions."""
    budget, name = current(), getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    if owner is None:  # the sandbox's own `str.format` knows the method that it stands for
        owner = getattr(getattr(function, "__wrapped__", None), "__self__", None)
    given = [*args, *named.values()]
    if given:
        budget.weigh(given)
    if isinstance(owner, str | bytes):
        if name in _METHODS:
            _METHODS[name](owner, given)
    elif isinstance(owner, list | tuple):
        budget.weigh(owner)
    elif isinstance(owner, int | float) and _largest(given) > _BYTES:
        raise RenderTooCostly(f"the template asks a number for {_largest(given)} bytes")


def _largest(given: Given) -> int:
    return max((abs(size) for size in given if isinstance(size, int)), default=0)


def _padded(value: Any, given: Given) -> None:
    current().take(8 * _largest(given))


def _rounded(value: Any, given: Given) -> None:
    if _largest(given) > _DIGITS:
        raise RenderTooCostly(f"the template rounds to {_largest(given)} digits")


def _indented(value: Any, given: Given) -> None:
    widest = max([_largest(given), *(len(text) for text in given if isinstance(text, str))])
    lines = value.count("\n") + 1 if isinstance(value, str) else _DEPTH * weight(value)[1]
    separators = [text for pair in given if isinstance(pair, list | tuple) for text in pair if isinstance(text, str)]
    current().take(lines * widest + weight(value)[1] * sum(map(len, separators)))


def _listed(value: Any, given: Given) -> None:
    current().take(_A_TEXT * len(value) if isinstance(value, str) else 0)


def _joined_by(value: Any, given: Given) -> None:
    """`value | join(separator)`."""
    separator = str(given[0]) if given else ""
    current().take(len(separator) * (len(value) if hasattr(value, "__len__") else 0))


def _joining(separator: Any, given: Given) -> None:
    """`separator.join(values)`."""
    values = given[0] if given else ()
    if not isinstance(values, str | bytes | list | tuple | dict):
        raise RenderTooCostly("the template joins what is no list")
    current().take(len(separator) * len(values))


def _replaced(value: Any, given: Given) -> None:
    """Every occurrence of the first argument becomes the second."""
    text, old, new = str(value), *(str(one) for one in [*given, "", ""][:2])
    current().take(len(text) + (text.count(old) if old else len(text) + 1) * len(new))


def _spread(value: Any, given: Given) -> None:
    """A text of an option stands at every line or link of the value, of which a letter may be one."""
    current().take(weight(value)[0] * sum(len(text) for text in given if isinstance(text, str)))


def _formatted(form: Any, given: Given) -> None:
    current().formatted(form if isinstance(form, bytes) else str(form), list(given))


def _tabbed(text: Any, given: Given) -> None:
    current().take(len(text) * max(8, _largest(given)))


def _translated(text: Any, given: Given) -> None:
    table = given[0] if given and isinstance(given[0], dict) else {}
    current().take(len(text) * max((len(one) for one in table.values() if isinstance(one, str)), default=1))


def _split(text: Any, given: Given) -> None:
    separator = given[0] if given and isinstance(given[0], str | bytes) else None
    current().take(split_cost(text, separator or None))


_FILTERS: Mapping[str, Callable[[Any, Given], None]] = {
    **dict.fromkeys(("batch", "center", "slice", "truncate"), _padded),
    **dict.fromkeys(("indent", "tojson"), _indented),
    **dict.fromkeys(("urlize", "wordwrap"), _spread),
    "format": _formatted,
    "join": _joined_by,
    "list": _listed,
    "replace": _replaced,
    "round": _rounded,
}
_METHODS: Mapping[str, Callable[[Any, Given], None]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _padded),
    **dict.fromkeys(("format", "format_map"), _formatted),
    **dict.fromkeys(("split", "rsplit", "splitlines"), _split),
    "expandtabs": _tabbed,
    "join": _joining,
    "replace": _replaced,
    "translate": _translated,
}

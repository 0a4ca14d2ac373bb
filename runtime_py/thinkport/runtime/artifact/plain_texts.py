"""Whether the texts of a manifest are what they look like: no character in them may steer a terminal.

Manifests come from strangers, and are shown by `inspect`, in messages and in tables. Escape sequences, line ends in a
name and marks that turn the order of letters round (Unicode's "Trojan Source") have no place in one.
"""

import unicodedata
from typing import Any

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINES = frozenset("\n\r\t")
# Texts that go into prompts, or into a table of their own, and may have lines.
_MAY_HAVE_LINES = ("embedding", "reranking", "special_tokens", "certificate", "recipe", "sampling")
_PROMPTS = ("embedding", "reranking", "special_tokens")  # and may be of any script


def odd_text(raw: Any) -> str | None:
    """Where in a manifest's JSON a text has a character that it may not have, in words; None where none has."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), raw)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, dict):
            for key, item in value.items():
                if _odd(key, ()):
                    return f"a key of {'.'.join(where) or 'the top level'} is {key!a}"
                waiting.append(((*where, key), item))
        elif isinstance(value, list):
            waiting += (((*where, str(at)), item) for at, item in enumerate(value))
        elif isinstance(value, str) and _odd(value, where):
            return f"{'.'.join(where)} is {value!a:.200}"
    return None


def _odd(text: str, where: tuple[str, ...]) -> bool:
    if text.isascii() and text.isprintable():
        return False
    top = where[0] if where else ""
    allowed = _LINES if top in _MAY_HAVE_LINES else frozenset[str]()
    return any(
        (unicodedata.category(letter) in ("Cc", "Cs") and letter not in allowed)
        or (letter in _TURNING and top not in _PROMPTS)
        for letter in text
    )

"""A console that lacks some characters gets others that look alike, one for one, and a question mark for the rest."""

import codecs
import io
import sys

LOOKALIKES = str.maketrans("▸▾·•▌█░─━│┃╌…‘’“”–—", ">v-*|#.--||-.''\"\"--")
_HANDLER = "thinkport.lookalikes"


def use_lookalikes() -> None:
    """From now on, stdout and stderr replace what their encoding lacks; stdin replaces bytes that are no text."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")


def in_encoding(text: str, encoding: str) -> str:
    """The text as a console of that encoding shows it."""
    codecs.register_error(_HANDLER, _replace)
    return text.encode(encoding, _HANDLER).decode(encoding)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(LOOKALIKES)
    return "".join(letter if letter.isascii() else "?" for letter in lacking), error.end

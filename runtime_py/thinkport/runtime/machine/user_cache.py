"""The user's cache folder, and small files in it that appear whole or not at all."""

from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from time import time

_HALF = ".half"  # ends the name of a file while it is written
_ABANDONED = 3600  # seconds after which whoever wrote it has died


def user_cache_folder() -> Path:
    """The default place of the cache: thinkport's folder in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("thinkport", appauthor=False)


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and rename it, if its folder can be written; delete what killed writers left."""
    half = path.with_suffix(f".{token_hex(4)}{_HALF}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"*{_HALF}"):
            if time() - left.stat().st_mtime > _ABANDONED:
                left.unlink(missing_ok=True)
    with suppress(OSError):
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    with suppress(OSError):
        half.unlink(missing_ok=True)  # a full disk, or on Windows a reader of the old one

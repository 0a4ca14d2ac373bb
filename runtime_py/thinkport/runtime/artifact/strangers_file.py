"""Reads files of folders that strangers made: regular ones, of a bounded size, that lie where they seem to lie.

A pipe would never end, and a link may lead to a file that its maker has no right to see. Knows files, and the layout of
the Hugging Face Hub's cache, whose files are links. Must not know what is in them.
"""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

SMALL = 64 << 20  # bytes: a JSON file or a template that is larger is none that anybody needs


def read_strangers(path: Path, most: int = SMALL) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        OSError: it is missing, can't be read, is no regular file, or is larger; `strerror` says which.
    """
    found = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(found, "rb") as file:
        facts = os.fstat(found)
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if facts.st_size > most:
            raise OSError(errno.EFBIG, f"it has {facts.st_size} bytes, expected at most {most}", str(path))
        return file.read(most)


def parsed_json(raw: bytes | str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is no JSON, no UTF-8, or nested deeper than any file needs to be.
    """
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def outside(folder: Path, path: Path) -> Path | None:
    """Where a file of `folder` really lies if a link leads out of the folder; None where it lies inside.

    Files of the Hub's cache are links from a snapshot's folder to the repository's blobs, which count as inside.
    """
    real, home = path.resolve(), folder.resolve()
    if real.is_relative_to(home) or any(real.is_relative_to(root) for root in _hub_roots(home)):
        return None
    return real


def _hub_roots(home: Path) -> list[Path]:
    """The repository in a cache that a folder is a snapshot of, and the Hub's own cache."""
    roots = [above for above in home.parents if above.name.startswith(("models--", "datasets--"))]
    from huggingface_hub import constants

    return [*roots, Path(constants.HF_HUB_CACHE).resolve()]

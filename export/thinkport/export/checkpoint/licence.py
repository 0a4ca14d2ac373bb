"""Under which licence a checkpoint comes: the files that say so, and the name that its model card gives.

Knows the Hub's file names and the front matter of its cards. Must not know what a licence means.
"""

import re
from pathlib import Path

from thinkport.runtime.artifact.strangers_file import read_strangers

PATTERNS = ("LICENSE*", "NOTICE*")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?\n)---[ \t]*(\n|$)", re.DOTALL)
_LICENSE = re.compile(r"^license:[ \t]*[\"']?([\w.+-]+)", re.MULTILINE)


def licence_files(folder: Path) -> list[str]:
    """Names of the licence and notice files of a checkpoint or an artifact."""
    return sorted(path.name for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file())


def licence_id(folder: Path) -> str | None:
    """The licence in the Hub's spelling, from the front matter of README.md; None where it names none."""
    matter = front_matter(folder)
    found = _LICENSE.search(matter) if matter else None
    return found[1] if found else None


def front_matter(folder: Path) -> str | None:
    """The front matter of README.md; None where there is none."""
    try:
        card = read_strangers(folder / "README.md").decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:  # a card is no part of a whole checkpoint
        return None
    matter = _FRONT_MATTER.match(card)
    return matter[1] if matter else None

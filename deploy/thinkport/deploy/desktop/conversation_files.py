"""The window's conversations and preferences, a JSON file each: they outlive the port and the web view.

Knows files; must not know what a conversation holds, which is the page's.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from thinkport.runtime.errors import InputError

_NAME = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class ConversationFiles:
    """The files of a folder, which is made when the first one is written."""

    folder: Path

    def all(self) -> list[Any]:
        """Every conversation that can be read; a damaged file stays where it is."""
        read = (_read(path) for path in sorted((self.folder / "conversations").glob("*.json")))
        return [one for one in read if one is not None]

    def put(self, name: str, conversation: Any) -> None:
        """Write a conversation.

        Raises:
            InputError: it can't be written, or the name is none of a conversation's.
        """
        write_file(self._path(name), json.dumps(conversation, ensure_ascii=False))

    def remove(self, name: str) -> None:
        """Delete a conversation, if it is there.

        Raises:
            InputError: it can't be deleted, or the name is none of a conversation's.
        """
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{path} can't be deleted ({error.strerror or error})") from error

    def preferences(self) -> Any:
        """What was kept last; an empty object where nothing can be read."""
        return _read(self.folder / "preferences.json") or {}

    def keep(self, preferences: Any) -> None:
        """Write the preferences.

        Raises:
            InputError: they can't be written.
        """
        write_file(self.folder / "preferences.json", json.dumps(preferences))

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InputError(f"{name[:80]!r} is no conversation's name, expected hexadecimal digits")
        return self.folder / "conversations" / f"{name}.json"


def write_file(path: Path, text: str) -> None:
    """Write a file that appears whole; an older one stays as it is until then. Half a character becomes `?`.

    Raises:
        InputError: it can't be written.
    """
    new = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8", errors="replace")  # JavaScript cuts texts within characters
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise InputError(f"{path} can't be written ({error.strerror or error}): choose another place") from error


def _read(path: Path) -> Any:
    """What a file holds; None where it can't be read, or not be sent to the page."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(read, ensure_ascii=False, allow_nan=False).encode()
    except (OSError, ValueError, RecursionError):
        return None
    return read

"""The artifacts that were opened before. Knows a JSON file, and no widgets."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MOST = 8


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A folder that was opened."""

    folder: str


@dataclass(frozen=True)
class Recent:
    """The last artifacts, the latest first, in a file that may be lost or damaged without harm."""

    file: Path
    _fallback: list[Opened] = field(default_factory=list)  # where the file can't be written

    def all(self) -> list[Opened]:
        """What was opened and still is a folder."""
        return [one for one in self._read() if Path(one.folder).is_dir()]

    def add(self, folder: Path) -> None:
        """Put a folder first."""
        others = [one for one in self._read() if one.folder != str(folder)]
        self._write([Opened(folder=str(folder)), *others][:MOST])

    def _read(self) -> list[Opened]:
        try:
            return [_opened(one) for one in json.loads(self.file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError, KeyError):
            return list(self._fallback)

    def _write(self, opened: list[Opened]) -> None:
        self._fallback[:] = opened
        new = self.file.with_suffix(".new")
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps([asdict(one) for one in opened], indent=1), encoding="utf-8")
            new.replace(self.file)


def _opened(record: dict[str, Any]) -> Opened:
    return Opened(folder=str(record["folder"]))

"""The artifacts that were opened before. Knows a JSON file, and no widgets."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MOST = 8


@dataclass(frozen=True)
class Recent:
    """The folders of the last artifacts, the latest first, in a file that may be lost or damaged without harm."""

    file: Path
    _fallback: list[Path] = field(default_factory=list)  # where the file can't be written

    def all(self) -> list[Path]:
        """What was opened and still is a folder."""
        return [folder for folder in self._read() if folder.is_dir()]

    def add(self, folder: Path) -> None:
        """Put a folder first."""
        self._fallback[:] = [folder, *(one for one in self._read() if one != folder)][:MOST]
        new = self.file.with_suffix(".new")
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps([{"folder": str(one)} for one in self._fallback], indent=1), encoding="utf-8")
            new.replace(self.file)

    def _read(self) -> list[Path]:
        try:
            return [Path(one["folder"]) for one in json.loads(self.file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError, KeyError):
            return list(self._fallback)

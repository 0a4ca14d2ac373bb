"""An artifact's way into memory, off the window's thread: a first check of all bytes, then the load; and those before.

Knows files and the model. Must not know widgets: it tells through a callback.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.artifact.task_check import check_replies
from thinkport.runtime.machine.known_files import KnownFiles
from thinkport.runtime.machine.user_cache import write_whole
from thinkport.runtime.model import Model

MOST = 8
OnProgress = Callable[[str, float | None], object]
"""Told what is done now, and its share that is done, from 0 to 1; None where nobody knows."""


@dataclass(frozen=True)
class Recent:
    """The folders of the last artifacts, the latest first, in a file that may be lost or damaged without harm."""

    file: Path
    _fallback: list[Path] = field(default_factory=list)  # where the file can't be written

    def all(self) -> list[Path]:
        """What was opened and still is a folder."""
        return [folder for folder in self._read() if folder.is_dir()]

    def add(self, folder: Path) -> None:
        """Put a folder first, as an absolute path: another working folder may have one of the same name."""
        whole = folder.resolve()
        self._fallback[:] = [whole, *(one for one in self._read() if one != whole)][:MOST]
        write_whole(self.file, json.dumps([{"folder": str(one)} for one in self._fallback], indent=1))

    def _read(self) -> list[Path]:
        try:
            read = [Path(one["folder"]) for one in json.loads(self.file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError, KeyError):
            return list(self._fallback)
        return [folder for folder in read if folder.is_absolute()]  # earlier versions wrote relative ones


def open_artifact(folder: Path, recent: Recent, *, provider: str, on_progress: OnProgress) -> Model:
    """Load an artifact; tell the progress of the check of its files, which the first time reads all of them.

    Raises:
        ThinkportError: what `Model.load` raises, an artifact that writes no replies, or a file that is not as the
            manifest records.
    """
    on_progress("Looking at the files", None)
    manifest = read_manifest(folder)
    check_replies(manifest)
    total = sum(record.bytes for record in manifest.files.values())

    def hashing(name: str, done: int) -> None:
        on_progress(f"First check of this artifact: {name}", done / max(1, total))

    KnownFiles().check(folder, manifest, on_file=hashing)
    on_progress("Loading the model", None)
    model = Model.load(folder, provider=provider)
    recent.add(folder)
    return model

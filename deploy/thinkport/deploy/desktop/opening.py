"""An artifact's way into memory, and those that were opened before. Knows files and the model."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.artifact.task_check import check_replies
from thinkport.runtime.artifact_loading import OnLoad
from thinkport.runtime.machine.user_cache import write_whole
from thinkport.runtime.model import Model

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


def open_artifact(folder: Path, recent: Recent, *, provider: str, progress: OnLoad) -> Model:
    """Load an artifact that writes replies, and remember it.

    Raises:
        ThinkportError: what `Model.load` raises, or the artifact is for another task.
    """
    check_replies(read_manifest(folder))
    model = Model.load(folder, provider=provider, progress=progress)
    recent.add(folder)
    return model

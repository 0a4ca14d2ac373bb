"""An artifact's way into memory, off the window's thread: a first check of all bytes, then the load.

Knows files and the model. Must not know widgets: it tells through two callbacks.
"""

from collections.abc import Callable
from pathlib import Path

from thinkport.deploy.desktop.recent import Recent
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.machine.known_files import KnownFiles
from thinkport.runtime.model import Model

OnProgress = Callable[[str, float | None], object]
"""Told what is done now, and its share that is done, from 0 to 1; None where nobody knows."""


def open_artifact(folder: Path, recent: Recent, *, provider: str, on_progress: OnProgress) -> Model:
    """Load an artifact; tell the progress of the check of its files, which the first time reads all of them.

    Raises:
        ThinkportError: what `Model.load` raises, or a file that is not as the manifest records.
    """
    on_progress("Looking at the files", None)
    manifest = read_manifest(folder)
    total = sum(record.bytes for record in manifest.files.values())

    def hashing(name: str, done: int) -> None:
        on_progress(f"First check of this artifact: {name}", done / max(1, total))

    KnownFiles().check(folder, manifest, on_file=hashing)
    on_progress("Loading the model", None)
    model = Model.load(folder, provider=provider)
    recent.add(folder)
    return model

"""An artifact's way into memory, off the window's thread: a first check of all bytes, then the load.

Knows files and the model. Must not know widgets: it tells through two callbacks.
"""

from collections.abc import Callable
from pathlib import Path

from thinkport.deploy.desktop.recent import Recent
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.manifest import MODEL_CARD, Manifest, check_files, fingerprint, hash_file, read_manifest
from thinkport.runtime.model import Model

OnProgress = Callable[[str, float | None], object]
"""Told what is done now, and its share that is done, from 0 to 1; None where nobody knows."""


def open_artifact(folder: Path, recent: Recent, *, provider: str, on_progress: OnProgress) -> Model:
    """Load an artifact, and the first time on this machine compare each byte with the manifest before.

    Raises:
        ThinkportError: what `Model.load` raises, or a file that is not as it was written.
    """
    on_progress("Looking at the files", None)
    manifest, mark = read_manifest(folder), fingerprint(folder)
    if not recent.checked(folder, mark):
        _check_bytes(folder, manifest, on_progress)
    on_progress("Loading the model", None)
    model = Model.load(folder, provider=provider)
    recent.add(folder, mark)
    return model


def _check_bytes(folder: Path, manifest: Manifest, on_progress: OnProgress) -> None:
    check_files(folder, manifest)
    there = {name: record for name, record in manifest.files.items() if (folder / name).is_file()}
    total, done = sum(record.bytes for record in there.values()), 0
    for name, record in there.items():
        on_progress(f"First check of this artifact: {name}", done / max(1, total))
        if hash_file(folder / name) != record.sha256 and name != MODEL_CARD:
            raise ArtifactError(
                f"{folder / name} does not have the recorded sha256: the file is damaged, copy the artifact again"
            )
        done += record.bytes

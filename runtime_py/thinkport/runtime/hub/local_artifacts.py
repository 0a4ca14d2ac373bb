"""Artifacts that are on this machine: in the Hub's local cache, and in folders near a given one.

Knows how the Hub's cache lays out its folders; reads manifests and nothing else of an artifact.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, Manifest, read_manifest
from thinkport.runtime.errors import ArtifactError, InputError

_DEPTH = 2  # folders below a given one: `artifacts/nano-int4` in a clone


@dataclass(frozen=True, kw_only=True)
class LocalArtifact:
    """An artifact's folder, and its repository on the Hub where the cache has it from there.

    `manifest` is None where it can't be read, for the reason in `problem`.
    """

    folder: Path
    repository: str | None = None
    manifest: Manifest | None = None
    problem: str | None = None

    @property
    def bytes(self) -> int:
        """What its files take."""
        return 0 if self.manifest is None else sum(record.bytes for record in self.manifest.files.values())


def local_artifacts(folders: Sequence[Path], cache: Path | None = None) -> list[LocalArtifact]:
    """The artifacts in `folders` and up to two folders below them, then those of the Hub's cache; each once.

    `cache` is the Hub's cache, by default the library's own.

    Raises:
        InputError: one of the folders is none.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder, expected one to look for artifacts in")
    near = ((path, None) for folder in folders for path in _below(folder, _DEPTH))
    found: dict[Path, LocalArtifact] = {}
    for path, repository in (*near, *_cached(cache or _hub_cache())):
        found.setdefault(path.resolve(), _read(path, repository))
    return list(found.values())


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """The folder, and those below it, that have a manifest; nothing below an artifact."""
    if (folder / MANIFEST_NAME).is_file():
        yield folder
        return
    if not depth:
        return
    with suppress(OSError):  # a folder that may not be read holds nothing for this user
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if not entry.name.startswith(".") and entry.is_dir():
                yield from _below(folder / entry.name, depth - 1)


def _cached(cache: Path) -> Iterator[tuple[Path, str]]:
    """Snapshots of the Hub's cache that have a manifest, with their repository and commit."""
    with suppress(OSError):
        for manifest in sorted(cache.glob(f"models--*/snapshots/*/{MANIFEST_NAME}")):
            folder = manifest.parent
            name = folder.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
            yield folder, f"{name}@{folder.name}"


def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _read(folder: Path, repository: str | None) -> LocalArtifact:
    try:
        return LocalArtifact(folder=folder, repository=repository, manifest=read_manifest(folder))
    except ArtifactError as error:
        return LocalArtifact(folder=folder, repository=repository, problem=str(error))

"""Brings an artifact from the Hub: into the local cache, and from there into a folder where one is wanted."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, MODEL_CARD, read_manifest
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.hub.download_progress import Progress
from thinkport.runtime.hub.repository import repository_named
from thinkport.runtime.hub.snapshot import fetch_snapshot
from thinkport.runtime.machine.known_files import KnownFiles


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """An artifact that was fetched: where it is, of which repository, and the commit that it was resolved to."""

    folder: Path
    id: str
    revision: str


def pull(
    ref: str,
    output: Path | None = None,
    *,
    endpoint: str | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Pulled:
    """Fetch `owner/name[@revision]`, only the files that its manifest lists, and hold each against its sha256.

    A download that broke off goes on where it stopped; without a network the local cache serves.

    Args:
        ref: the repository.
        output: a new folder for a copy; the cache's own folder is used if None.
        endpoint: the Hub's address; the library's own default (or its environment variable) if None.
        cache_dir: where fetched files are kept; the library's own default if None.
        progress: called with the bytes fetched so far, one call at a time, from threads of the download.

    Raises:
        InputError: `ref` names no repository, or `output` is there already.
        ArtifactError: the Hub refuses or can't be reached, there is no artifact, or a file is not what was recorded.
    """
    wanted = repository_named(ref)
    if wanted is None:
        raise InputError(f"{ref!r} names no repository: expected OWNER/NAME or OWNER/NAME@REVISION")
    if output is not None and output.exists():
        raise InputError(f"{output} is there already: name a new folder with -o, or take it away first")
    folder = fetch_snapshot(wanted, endpoint=endpoint, cache_dir=cache_dir, progress=progress)
    _check_snapshot(folder)
    if output is not None:
        _copy(folder, output)
    return Pulled(folder=output or folder, id=wanted.id, revision=folder.name)


def _check_snapshot(folder: Path) -> None:
    try:
        KnownFiles().check(folder, read_manifest(folder))
    except ArtifactError as error:
        raise ArtifactError(
            f"what the Hub gave is not what the artifact's manifest records: {error}; if copying doesn't help, take "
            f"{folder} out of the cache and fetch it again"
        ) from error


def _copy(folder: Path, output: Path) -> None:
    """Copy the artifact's files, hash the copies, and give them their folder's name at the end."""
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        for name in (MANIFEST_NAME, *read_manifest(folder).files):
            if name == MODEL_CARD and not (folder / name).exists():
                continue
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, beside / name)
        KnownFiles().check(beside, read_manifest(beside))
        beside.chmod(0o755)  # mkdtemp's folder is its owner's alone
        beside.rename(output)
        KnownFiles().moved(beside, output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)

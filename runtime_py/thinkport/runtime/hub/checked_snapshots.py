"""Remembers which snapshots of the cache were held against their manifests' hashes, so that one is hashed once.

A snapshot is known by its manifest's sha256 and by size and time of change of every file: what was written since is
hashed again.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.hub.whole import check_whole
from thinkport.runtime.machine_cache import user_cache_folder
from thinkport.runtime.manifest import fingerprint, read_manifest


def check_snapshot(folder: Path) -> None:
    """Hold every file of a fetched artifact against its sha256, unless that was done and nothing has changed.

    Raises:
        ArtifactError: a file is missing or changed, or the manifest is not as it was written.
    """
    mark = user_cache_folder() / "hub" / _state(folder)
    if mark.exists():
        return
    try:
        check_whole(folder)
    except ArtifactError as error:
        raise ArtifactError(
            f"what the Hub gave is not what the artifact's manifest records: {error}; if copying doesn't help, take "
            f"{folder} out of the cache and fetch it again"
        ) from error
    with suppress(OSError):  # a cache that can't be written costs the time of hashing again
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _state(folder: Path) -> str:
    files = {}
    for name in read_manifest(folder).files:
        with suppress(FileNotFoundError):
            status = (folder / name).stat()
            files[name] = (status.st_size, status.st_mtime_ns)
    text = json.dumps([fingerprint(folder), str(folder), files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

"""Fetches an artifact's files into the Hub's local cache: the manifest first, then what it lists.

Knows huggingface_hub, which keeps the cache, resumes downloads and reads its own environment variables; must not know
whether what came is right.
"""

from collections.abc import Callable
from glob import escape
from pathlib import Path
from typing import Any

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.hub.download_progress import Progress, reporting_bar
from thinkport.runtime.hub.refusal import refusal, unreached
from thinkport.runtime.hub.repository import Repository


def fetch_snapshot(
    wanted: Repository,
    *,
    endpoint: str | None,
    cache_dir: Path | None,
    progress: Callable[[Progress], None] | None,
) -> Path:
    """The folder of the cache with the manifest and the files that it lists; its name is the commit.

    Raises:
        ArtifactError: the Hub refuses or can't be reached, or the repository holds no artifact.
    """
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    hub: dict[str, Any] = {"endpoint": endpoint, "cache_dir": cache_dir}
    silent = reporting_bar(None)
    try:
        _check_reached(wanted, endpoint, cache_dir)
        manifest = hf_hub_download(wanted.id, MANIFEST_NAME, revision=wanted.revision, tqdm_class=silent, **hub)
        folder = Path(manifest).parent  # the cache names a snapshot's folder by its commit
        files = [escape(name) for name in read_manifest(folder).files]
        snapshot_download(
            wanted.id, revision=folder.name, allow_patterns=files, tqdm_class=reporting_bar(progress), **hub
        )
    except ArtifactError:
        raise
    except RemoteEntryNotFoundError as error:
        raise ArtifactError(
            f"{wanted} has no {MANIFEST_NAME}: it is no artifact; if it is a checkpoint, export it first with "
            f"`thinkport export {wanted} -o DIR`"
        ) from error
    except Exception as error:
        raise ArtifactError(refusal(error, wanted)) from error
    return folder


def _check_reached(wanted: Repository, endpoint: str | None, cache_dir: Path | None) -> None:
    """Ask the Hub once where the cache has nothing: the library would try for half a minute, and log each time.

    Raises:
        ArtifactError: the Hub can't be reached.
        HfHubHTTPError: it refuses.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    cached = try_to_load_from_cache(wanted.id, MANIFEST_NAME, cache_dir=cache_dir, revision=wanted.revision)
    if isinstance(cached, str):
        return
    try:
        url = hf_hub_url(wanted.id, MANIFEST_NAME, revision=wanted.revision, endpoint=endpoint)
        get_hf_file_metadata(url, endpoint=endpoint)
    except HfHubHTTPError:
        raise
    except Exception as error:  # the HTTP library's own kinds differ between versions
        raise ArtifactError(unreached(wanted)) from error

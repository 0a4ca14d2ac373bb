"""Artifacts on the Hub: fetched into its local cache, copied from there to a folder, and pushed in one commit."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from thinkport.runtime.artifact.manifest import (
    MANIFEST_NAME,
    MODEL_CARD,
    SIGNATURE_NAME,
    check_files,
    read_manifest,
)
from thinkport.runtime.artifact.strangers_file import outside
from thinkport.runtime.errors import ArtifactError, InputError, MissingExtraError
from thinkport.runtime.extras import require
from thinkport.runtime.hub.download_progress import Progress, reporting_bar
from thinkport.runtime.hub.minisign import PublicKey, SecretKey
from thinkport.runtime.hub.repository import Repository, refusal, repository_named, unreached
from thinkport.runtime.hub.signed_manifest import check_signed, sign_manifest
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
    signed_by: str | None = None,
) -> Pulled:
    """Fetch `owner/name[@revision]`, only the files that its manifest lists, and hold each against its sha256.

    A download that broke off goes on where it stopped; without a network the local cache serves.

    Args:
        ref: the repository.
        output: a new folder for a copy; the cache's own folder is used if None.
        endpoint: the Hub's address; the library's own default (or its environment variable) if None.
        cache_dir: where fetched files are kept; the library's own default if None.
        progress: called with the bytes fetched so far, one call at a time, from threads of the download.
        signed_by: a public key of minisign, or its file, that the manifest must be signed with.

    Raises:
        InputError: `ref` names no repository, `output` is there already, or `signed_by` is no key.
        ArtifactError: the Hub refuses or can't be reached, there is no artifact, a file is not what was recorded, or
            the manifest is not signed with that key.
        MissingExtraError: a signature is asked for, and the package cryptography is missing.
    """
    key = None if signed_by is None else PublicKey.parse(signed_by)
    if key is not None:
        require("sign", "cryptography")
    wanted = repository_named(ref)
    if wanted is None:
        raise InputError(f"{ref!r} names no repository: expected OWNER/NAME or OWNER/NAME@REVISION")
    if output is not None and output.exists():
        raise InputError(f"{output} is there already: name a new folder with -o, or take it away first")
    folder = _fetch(wanted, progress, key, endpoint=endpoint, cache_dir=cache_dir)
    try:
        manifest = read_manifest(folder)
        if not KnownFiles().check(folder, manifest).hashed:
            check_files(folder, manifest, blocks=True)
    except ArtifactError as error:
        raise ArtifactError(
            f"what the Hub gave is not what the artifact's manifest records: {error}; if copying doesn't help, take "
            f"{folder} out of the cache and fetch it again"
        ) from error
    if output is not None:
        _copy(folder, output)
    return Pulled(folder=output or folder, id=wanted.id, revision=folder.name)


def _fetch(
    wanted: Repository, progress: Callable[[Progress], None] | None, key: PublicKey | None = None, **hub: Any
) -> Path:
    """Fetch into the Hub's local cache, the manifest first, then what it lists; resume what broke off.

    With a `key`, nothing else is fetched unless the manifest is signed with it.

    Return the folder of the cache with the manifest and the files that it lists; its name is the commit.

    `hub` are the Hub's address and the cache's folder, for a library that has defaults for both.

    Raises:
        ArtifactError: the Hub refuses or can't be reached, or the repository holds no artifact.
    """
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    silent = reporting_bar(None)
    try:
        _check_reached(wanted, **hub)
        manifest = hf_hub_download(wanted.id, MANIFEST_NAME, revision=wanted.revision, tqdm_class=silent, **hub)
        folder = Path(manifest).parent  # the cache names a snapshot's folder by its commit
        files = [escape(name) for name in (*read_manifest(folder).files, SIGNATURE_NAME)]
        if key is not None:
            snapshot_download(
                wanted.id, revision=folder.name, allow_patterns=[escape(SIGNATURE_NAME)], tqdm_class=silent, **hub
            )
            check_signed(folder, key)
        snapshot_download(
            wanted.id, revision=folder.name, allow_patterns=files, tqdm_class=reporting_bar(progress), **hub
        )
    except (ArtifactError, MissingExtraError):
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


def _copy(folder: Path, output: Path) -> None:
    """Copy the artifact's files, hash the copies, and give them their folder's name at the end."""
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        for name in (MANIFEST_NAME, SIGNATURE_NAME, *read_manifest(folder).files):
            if name in (MODEL_CARD, SIGNATURE_NAME) and not (folder / name).exists():
                continue
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, beside / name)
        try:
            KnownFiles().check(beside, read_manifest(beside))
        except ArtifactError as error:
            raise ArtifactError(str(error).replace(str(beside), str(output))) from error
        beside.chmod(0o755)  # mkdtemp's folder is its owner's alone
        beside.rename(output)
        KnownFiles().moved(beside, output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def artifact_folder(ref: str | Path, *, progress: Callable[[Progress], None] | None = None) -> Path:
    """A folder that is there, as it is given; `owner/name[@revision]` where none is, fetched and checked.

    A `Path` always means a folder, and so does a name in a folder that is there.

    Raises:
        ArtifactError: neither a folder nor an id, or what `pull` raises.
    """
    folder = Path(ref)
    if folder.exists() or isinstance(ref, Path):
        return folder
    if not is_on_hub(ref):
        raise ArtifactError(
            f"no artifact at {ref}: expected a folder that `thinkport export` wrote, or OWNER/NAME[@REVISION] on the "
            "Hub"
        )
    try:
        return pull(ref, progress=progress).folder
    except ArtifactError as error:
        raise ArtifactError(f"no folder {ref} is here, and from the Hub: {error}") from error


def is_on_hub(ref: str) -> bool:
    """Whether a name means one on the Hub where it is no folder; not `artifacts/mine` where `artifacts` is a folder."""
    return repository_named(ref) is not None and not Path(ref).parent.is_dir()


def push(
    folder: Path,
    ref: str,
    *,
    private: bool = False,
    branch: str | None = None,
    message: str | None = None,
    endpoint: str | None = None,
    bars: bool = False,
    sign: SecretKey | None = None,
) -> str:
    """Make the repository where there is none, commit the artifact's files to it, and return the commit.

    Files that the manifest doesn't list stay here; what the repository holds beside them stays there. `private` is for
    a new repository. `bars` shows huggingface_hub's own progress on stderr. `sign` signs the manifest first; its
    signature, or one that lies beside it already, is pushed too.

    Raises:
        ArtifactError: the folder is not a whole artifact, or a file of it is a link out of the folder.
        InputError: `ref` names no repository, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    wanted = repository_named(ref)
    if wanted is None or wanted.revision is not None:
        raise InputError(f"{ref!r} names no repository to push to: expected OWNER/NAME; a branch goes with --branch")
    manifest = read_manifest(folder)
    KnownFiles().check(folder, manifest, anew=True)
    wanted_files = (*sorted(manifest.files), MANIFEST_NAME, SIGNATURE_NAME)
    _check_inside(folder, wanted_files)
    if sign is not None:
        sign_manifest(folder, sign)

    hub = HfApi(endpoint=endpoint)
    names = [name for name in wanted_files if (folder / name).exists()]
    message = message or f"{manifest.name}, a thinkport artifact"
    try:
        with _bars(bars):
            hub.create_repo(wanted.id, private=private or None, exist_ok=True)
            if branch is not None:
                hub.create_branch(wanted.id, branch=branch, exist_ok=True)
            files = [CommitOperationAdd(name, folder / name) for name in names]
            return str(hub.create_commit(wanted.id, files, commit_message=message, revision=branch).oid)
    except Exception as error:
        raise InputError(refusal(error, wanted, doing="pushed to")) from error


def _check_inside(folder: Path, names: Sequence[str]) -> None:
    """Refuse to push what a link leads to: it may be a file of the user's that nobody meant to share."""
    for name in names:
        real = outside(folder, folder / name)
        if real is not None:
            raise ArtifactError(f"{folder / name} is a link to {real}, out of the artifact: put a copy in its place")


@contextmanager
def _bars(shown: bool) -> Iterator[None]:
    """huggingface_hub draws bars on stderr by itself; a library is silent."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if shown or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()

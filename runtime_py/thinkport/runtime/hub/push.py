"""Puts an artifact on the Hub: checked whole first, then in one commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest
from thinkport.runtime.errors import InputError
from thinkport.runtime.hub.refusal import refusal
from thinkport.runtime.hub.repository import repository_named
from thinkport.runtime.machine.known_files import KnownFiles


def push(
    folder: Path,
    ref: str,
    *,
    private: bool = False,
    branch: str | None = None,
    message: str | None = None,
    endpoint: str | None = None,
    bars: bool = False,
) -> str:
    """Make the repository where there is none, commit the artifact's files to it, and return the commit.

    Files that the manifest doesn't list stay here; what the repository holds beside them stays there. `private` is for
    a new repository. `bars` shows huggingface_hub's own progress on stderr.

    Raises:
        ArtifactError: the folder is not a whole artifact.
        InputError: `ref` names no repository, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    wanted = repository_named(ref)
    if wanted is None or wanted.revision is not None:
        raise InputError(f"{ref!r} names no repository to push to: expected OWNER/NAME; a branch goes with --branch")
    manifest = read_manifest(folder)
    KnownFiles().check(folder, manifest, anew=True)

    hub = HfApi(endpoint=endpoint)
    names = [name for name in (*sorted(manifest.files), MANIFEST_NAME) if (folder / name).exists()]
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

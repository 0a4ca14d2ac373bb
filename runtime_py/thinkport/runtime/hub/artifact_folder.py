"""Where an artifact is that a person named: a local folder, or an id on the Hub that is fetched into the cache."""

from collections.abc import Callable
from pathlib import Path

from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.hub.download_progress import Progress
from thinkport.runtime.hub.pull import pull
from thinkport.runtime.hub.repository import repository_named


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

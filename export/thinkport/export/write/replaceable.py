"""Whether a folder may be replaced: only what an export wrote, so that nobody's own files go with it."""

from pathlib import Path

from thinkport.export.errors import OutputError
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest
from thinkport.runtime.errors import ArtifactError


def check_replaceable(target: Path) -> None:
    """Refuse to replace what is no artifact, or an artifact with something in it that its manifest doesn't list.

    Raises:
        OutputError: naming what would be lost.
    """
    if target.is_dir() and not any(target.iterdir()):
        return
    if not (target / MANIFEST_NAME).is_file():
        raise OutputError(f"{target} is not an artifact (it has no {MANIFEST_NAME}): --force replaces artifacts only")
    if target.resolve() == Path.cwd():
        raise OutputError(f"{target} is the current folder: change to another one first, or choose another output path")
    try:
        listed = {MANIFEST_NAME, *read_manifest(target).files}
    except ArtifactError as error:
        raise OutputError(f"{target} is not an artifact ({error}): --force replaces artifacts only") from error
    foreign = sorted(path.name for path in target.iterdir() if path.name not in listed)
    if foreign:
        names = ", ".join(foreign[:3]) + (" …" if len(foreign) > 3 else "")
        raise OutputError(
            f"{target} also holds {names}, which no export wrote: move that away, then --force replaces it"
        )

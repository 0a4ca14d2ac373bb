"""Reads the files of a checkpoint that are no weights, and says what is wrong with one that can't be read.

Checkpoints come from strangers: a file may be a pipe, a link to a file of the user's, or a pointer of Git LFS.
"""

from pathlib import Path
from typing import Any

from thinkport.export.errors import CheckpointError
from thinkport.runtime.artifact.strangers_file import outside, parsed_json, read_strangers

LFS = b"version https://git-lfs.github.com/spec/"  # how a pointer begins: https://github.com/git-lfs/git-lfs


def read_json(file: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no file.

    Raises:
        CheckpointError: the file can't be read, lies elsewhere, or holds something else.
    """
    try:
        found = parsed_json(read_small(file))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CheckpointError(f"{file} isn't valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} holds a {type(found).__name__}; expected an object")
    return found


def read_small(file: Path) -> bytes:
    """The content of a file of the checkpoint that is no weights.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it can't be read, is no regular file, lies elsewhere, or is a pointer of Git LFS.
    """
    check_inside(file)
    try:
        raw = read_strangers(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(file, error) from error
    if raw.startswith(LFS):
        raise lfs_pointer(file)
    return raw


def check_inside(file: Path) -> None:
    """Refuse a file that is a link out of its folder: what it leads to may be anybody's, and artifacts are shared.

    Raises:
        CheckpointError: it is one, and leads neither into the folder nor into the Hub's cache.
    """
    real = outside(file.parent, file) if file.is_symlink() else None
    if real is not None:
        raise CheckpointError(
            f"{file} is a link to {real}, out of the checkpoint's folder: put a copy of the file in its place if it "
            "belongs to the checkpoint"
        )


def unreadable(file: Path, error: OSError) -> CheckpointError:
    """The error for a file that the system won't let us read."""
    return CheckpointError(f"{file} can't be read: {error.strerror or error}; check its permissions and the disk")


def lfs_pointer(file: Path) -> CheckpointError:
    """The error for a file whose content Git has not fetched."""
    return CheckpointError(
        f"{file} is a pointer of Git LFS, not the file itself: run `git lfs pull` in {file.parent}, or fetch the "
        "checkpoint with `hf download`"
    )

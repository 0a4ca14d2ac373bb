"""A folder that appears whole or not at all.

Everything is written into a hidden sibling, which takes the target's place once it is complete: in one step where the
system can exchange two folders. If the program is killed, the target path holds the old folder or the new one, or where
the system can't, in rare moments nothing; the next run mends that, and deletes what was left behind.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from thinkport.export.errors import OutputError
from thinkport.export.write.replaceable import check_replaceable
from thinkport.runtime.artifact.manifest import MANIFEST_NAME
from thinkport.runtime.errors import ThinkportError
from thinkport.runtime.machine.exchange import put_in_place

_PARTIAL, _REPLACED = "partial", "replaced"


@contextmanager
def staged(target: Path, *, force: bool) -> Iterator[Path]:
    """A new folder to fill. If the block ends without an error, the folder becomes `target`.

    Raises:
        OutputError: `target` exists and `force` is not given, is something else than an artifact, or can't be written.
    """
    clear_leftovers(target)
    check_target(target, force=force)
    target = target.resolve()  # of a link, what it leads to is replaced
    staging = _sibling(target, _PARTIAL)
    made = _make(staging)
    try:
        yield staging
        check_target(target, force=force)  # another run may have come first
        put_in_place(staging, target, aside=_sibling(target, _REPLACED))
    except BaseException as error:
        _unmake(made)
        if isinstance(error, OSError):
            where = f" at {_named(error.filename, staging, target)}" if error.filename else ""
            raise OutputError(f"writing {target} failed: {error.strerror or error}{where}") from error
        if isinstance(error, ThinkportError) and str(staging) in str(error):
            raise type(error)(_named(error, staging, target)) from error
        raise


def _named(text: object, staging: Path, target: Path) -> str:
    """A text that names the folder by the name that its reader gave."""
    return str(text).replace(str(staging), str(target))


def check_target(target: Path, *, force: bool) -> None:
    """Refuse an output path before any work is done for it.

    Raises:
        OutputError: it exists without `force`, exists and is no artifact, lies below a file, or is the root of a file
            system. What is no artifact is never replaced.
    """
    if not target.resolve().name:
        raise OutputError(f"{target} is the root of a file system: choose a folder below it")
    above = next(path for path in target.absolute().parents if path.exists())
    if not above.is_dir():
        raise OutputError(f"{above} is not a folder: choose another output path")
    if not target.exists() and not target.is_symlink():
        return
    if not force and not (target / MANIFEST_NAME).is_file():
        raise OutputError(f"{target} exists and is not an artifact: choose another output path")
    if not force:
        raise OutputError(f"{target} exists: give --force to replace it, or another output path")
    check_replaceable(target)


def check_writable(target: Path) -> None:
    """Refuse a path beside which nothing can be written. It tries to write there, and leaves nothing.

    Raises:
        OutputError: with what the system says.
    """
    _unmake(_make(_sibling(target.resolve(), _PARTIAL)))


def check_space(target: Path, nbytes: int) -> None:
    """Refuse to start what the disk can't hold.

    Raises:
        OutputError: fewer than `nbytes` bytes are free where `target` will lie.
    """
    parent = next(p for p in (target.absolute(), *target.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(parent).free
    if free < nbytes:
        raise OutputError(
            f"the artifact needs {nbytes / 1e9:.2f} GB and {parent} has {free / 1e9:.2f} GB free: "
            "make room or choose another output path"
        )


def _make(folder: Path) -> list[Path]:
    """Make a folder and the missing ones above it; return the folders that were made, the innermost first."""
    above = [path for path in folder.parents if not path.exists()]
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        _remove_empty(above)
        raise OutputError(f"can't write into {folder.parent} ({error.strerror}): choose another output path") from error
    return [folder, *above]


def _unmake(made: list[Path]) -> None:
    """Remove a folder that `_make` made, and those above it that are empty."""
    shutil.rmtree(made[0], ignore_errors=True)
    _remove_empty(made[1:])


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _sibling(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}-{os.getpid()}")


def clear_leftovers(target: Path) -> None:
    """Delete what dead runs left beside `target`; put an artifact back that was caught between two renames."""
    target = target.resolve()
    if not target.parent.is_dir():
        return
    for kind in (_REPLACED, _PARTIAL):
        stem = f".{target.name}.{kind}-"
        for left in sorted(path for path in target.parent.iterdir() if path.name.startswith(stem)):
            process = left.name.removeprefix(stem)
            if not process.isdigit() or (int(process) != os.getpid() and psutil.pid_exists(int(process))):
                continue
            if kind == _REPLACED and not target.exists():
                left.rename(target)
            else:
                shutil.rmtree(left, ignore_errors=True)

"""What `--force` may replace: a site, and of it nothing that was put there or changed since."""

from collections.abc import Mapping
from pathlib import Path

from thinkport.deploy.bundle.archive import SUMS, sha256_of
from thinkport.runtime.errors import InputError

_LARGE = 1 << 20  # bytes; no larger file is anybody's notes


def check_replaceable(output: Path, *, force: bool) -> None:
    """Refuse an output that is there already, and with `force` one that isn't a site with its own files only.

    Raises:
        InputError: naming what would be lost.
    """
    if output.resolve() == Path.cwd():
        raise InputError(f"{output} is the current folder: change to another one first, or name another one with -o")
    linked = output.is_symlink()
    if not linked and (not output.exists() or (output.is_dir() and not any(output.iterdir()))):
        return
    if not force:
        raise InputError(f"{output} is there already: name another folder with -o, or give --force to replace a site")
    if linked or not output.is_dir():
        raise InputError(f"{output} is not a folder: name another one with -o")
    sums = _sums(output)
    for path in sorted(output.rglob("*")):
        _check_own(path, path.relative_to(output).as_posix(), sums)


def _check_own(path: Path, name: str, sums: Mapping[str, str]) -> None:
    if name == SUMS or (path.is_dir() and not path.is_symlink()):
        return
    if name not in sums or path.is_symlink():
        raise InputError(
            f"the site also holds {name}, which thinkport did not make: move {path} away, then --force replaces "
            "the site"
        )
    if path.stat().st_size <= _LARGE and sha256_of(path) != sums[name]:
        raise InputError(f"{path} was changed since the site was made: move it away, then --force replaces the site")


def _sums(output: Path) -> dict[str, str]:
    try:
        lines = (output / SUMS).read_text(encoding="utf-8").splitlines()
        found = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        found = {}
    if "site.json" not in found:
        raise InputError(
            f"{output} is not a site that thinkport made: --force replaces sites only; name another with -o"
        )
    return found

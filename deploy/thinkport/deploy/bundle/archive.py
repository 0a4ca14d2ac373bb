"""Writes a ZIP whose bytes depend on its entries only: sorted, stored, without times, 64-bit where that is needed."""

import hashlib
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from thinkport.runtime.artifact.manifest import hash_file

Entry = bytes | Path
SUMS = "SHA256SUMS"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_UNIX = 3


def sha256_of(entry: Entry) -> str:
    """The sha256 of an entry as hex."""
    return hash_file(entry) if isinstance(entry, Path) else hashlib.sha256(entry).hexdigest()


def with_sums(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries and a file that `sha256sum -c` takes, over all of them."""
    lines = [f"{sha256_of(entry)}  {name}\n" for name, entry in sorted(entries.items())]
    return {**entries, SUMS: "".join(lines).encode()}


def write_archive(entries: Mapping[str, Entry], output: Path) -> None:
    """Write beside the output's place and rename at the end; scripts of a shell may be executed."""
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(f".{output.name}.new")
    try:
        with ZipFile(beside, "w", ZIP_STORED) as archive:
            for name, entry in sorted(entries.items()):
                _write(archive, name, entry)
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)


def _write(archive: ZipFile, name: str, entry: Entry) -> None:
    about = ZipInfo(name, _LONG_AGO)
    about.create_system = _UNIX  # Windows would write its own
    about.external_attr = (0o100755 if name.endswith(".sh") else 0o100644) << 16
    about.file_size = entry.stat().st_size if isinstance(entry, Path) else len(entry)  # decides about 64 bits
    source = entry.open("rb") if isinstance(entry, Path) else BytesIO(entry)
    with source, archive.open(about, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)

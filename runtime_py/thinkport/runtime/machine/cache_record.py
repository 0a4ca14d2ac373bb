"""A cache entry's record: sizes and checksums of its files, compared with the files before each use.

Knows files and sums; must not know what the files are for.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import TypeAdapter

RECORD_NAME = "entry.json"
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class CacheKey:
    """What an entry was made of and for; two entries with the same key have the same content.

    `artifact` is the artifact's fingerprint, `graph` one of its files, `content` what is kept and the version of its
    format, `onnxruntime` the release whose layout it has, and `cpu` the instruction sets that it was made for.
    """

    artifact: str
    graph: str
    content: str
    onnxruntime: str
    cpu: str

    @property
    def name(self) -> str:
        """The name of the entry's folder."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class FileSum:
    """Size in bytes and checksum of one file."""

    bytes: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class CacheRecord:
    """`entry.json`: the key of an entry, and its files with their sums."""

    key: CacheKey
    files: dict[str, FileSum]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files.values())

    @classmethod
    def of(cls, key: CacheKey, folder: Path) -> Self:
        """The record of the files that lie in `folder`."""
        paths = sorted(path for path in folder.iterdir() if path.name != RECORD_NAME)
        sums = {path.name: FileSum(bytes=path.stat().st_size, checksum=checksum(path)) for path in paths}
        return cls(key=key, files=sums)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The record that lies in `folder`; None where there is none."""
        try:
            return TypeAdapter(cls).validate_json((folder / RECORD_NAME).read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, folder: Path) -> None:
        """Write the record beside its files."""
        (folder / RECORD_NAME).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    def is_true_of(self, folder: Path) -> bool:
        """Whether the files in `folder` are those of the record, by size and checksum."""
        try:
            return all(
                (folder / name).stat().st_size == file.bytes and checksum(folder / name) == file.checksum
                for name, file in self.files.items()
            )
        except OSError:
            return False


def checksum(path: Path) -> str:
    """A digest of the sums of each MiB's 64-bit words; it takes about as long as reading memory.

    It changes with any flipped bit and any lost or foreign page; a plain sha256 would take 0.6 s a GB to notice these.
    It does not change if words of one MiB trade places, and does not protect against deliberate changes.
    """
    size = path.stat().st_size
    half = size // _BLOCK // 2 * _BLOCK
    with ThreadPoolExecutor(1) as beside:  # a load has nothing else to do meanwhile
        second = beside.submit(_sums, path, half, size)
        return sha256(_sums(path, 0, half) + second.result()).hexdigest()


def _sums(path: Path, start: int, end: int) -> bytes:
    """The sums of the whole blocks from byte `start` to `end`, then the bytes of the last, partial block."""
    block = np.empty(_BLOCK // 8, np.uint64)  # small enough for a core's cache, and no mapping to fault in
    sums = np.empty((end - start) // _BLOCK, np.uint64)
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        for index in range(len(sums)):
            file.readinto(block.data)
            sums[index] = block.sum()
        return sums.tobytes() + file.read(end - file.tell())

"""What a cache entry is made of: the record of its files, against which they are held before each use.

Knows files and sums; must not know what the files are for.
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np

RECORD_NAME = "entry.json"
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class CacheKey:
    """What an entry was made of and for; entries with one key are alike.

    `artifact` is the artifact's fingerprint and `graph` one of its files, `content` what is kept and in which version,
    `onnxruntime` the release whose layouts it has and `cpu` the instruction sets that it was made for.
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
    """`entry.json`: whose entry it is, and its files with their sums."""

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
    def read(cls, folder: Path) -> Self:
        """The record that lies in `folder`.

        Raises:
            OSError, ValueError, TypeError, KeyError: there is none, or it is not one.
        """
        raw: dict[str, Any] = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        files = {name: FileSum(**values) for name, values in raw["files"].items()}
        return cls(key=CacheKey(**raw["key"]), files=files)

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
    """A digest of the sums of each MiB's 64-bit words, about as fast as a file is read.

    It differs after any flipped bit and any lost or foreign page, which a plain digest would take 0.6 s a GB to tell.
    It is the same after words of one MiB change places, and after what somebody changes on purpose.
    """
    digest = sha256()
    block = np.empty(_BLOCK // 8, np.uint64)  # small enough for a core's cache, and no mapping to fault in
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(block.data):
            whole = block if read == _BLOCK else block[:0]
            digest.update(np.sum(whole, dtype=np.uint64).tobytes())
            if read < _BLOCK:
                digest.update(block.view(np.uint8)[:read].tobytes())
    return digest.hexdigest()

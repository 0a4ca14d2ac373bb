"""Whether an artifact's files are those that its manifest records: the one place that decides it.

A machine hashes a file the first time. Later it compares the file system's data about the file and reads a few blocks;
it hashes the file again if anything differs. Verdicts on graphs belong to the
manifest's hashes, so they hold only behind this check. `deploy/docs/running.md` says what it can't notice.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import RawIOBase
from pathlib import Path
from random import sample
from time import perf_counter, time_ns
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from thinkport.runtime.artifact.manifest import MODEL_CARD, FileRecord, Manifest, check_files, wrong_hash
from thinkport.runtime.artifact.manifest_seal import check_seal
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.machine.user_cache import user_cache_folder, write_whole

BLOCK = 1 << 20
SAMPLED = 8  # blocks of a file that a later start reads, other ones each time: 8 MiB
_TICK, _SECONDS = 50_000_000, 2_000_000_000  # ns between two times of a file: on most systems, and on FAT

OnFile = Callable[[str, int], object]
"""Told the name of a file before it is hashed, and how many bytes were hashed before it."""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """The file system's data about a file; `ctime_ns` is when it was created on Windows, when it changed elsewhere."""

    bytes: int
    inode: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The facts of the file at `path`; raises OSError."""
        found = path.stat()
        return cls(bytes=found.st_size, inode=found.st_ino, mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns)

    def tells(self, now_ns: int) -> bool:
        """Whether the times show any change from `now_ns` on; one within a tick of the last change would not show."""
        times = (self.mtime_ns, self.ctime_ns)
        return all(abs(now_ns - when) > (_TICK if when % 1_000_000_000 else _SECONDS) for when in times)


@dataclass(frozen=True, kw_only=True)
class KnownFile:
    """A file as it was hashed: its facts, its sha256 (hex), and the sum of each MiB's 64-bit words.

    A sum changes with any flipped bit and any foreign page; beside the sha256 it costs nothing.
    """

    facts: FileFacts
    sha256: str
    sums: list[int]


_FILES = TypeAdapter(dict[str, dict[str, KnownFile]])


@dataclass(frozen=True, kw_only=True)
class FilesCheck:
    """What a check cost: `hashed` of all `bytes` went through sha256; `seconds` is the whole check's time."""

    files: int
    bytes: int
    hashed: int
    seconds: float


class KnownFiles:
    """What this machine knows of artifacts' files: one small JSON file for each artifact's folder.

    If that file can't be read or written, each check hashes everything.
    """

    def __init__(self, folder: Path | None = None):
        """`folder` defaults to thinkport's in the user's cache, wherever weights are cached."""
        self.folder = folder or user_cache_folder() / "files"

    def check(
        self, artifact: Path, manifest: Manifest, *, anew: bool = False, on_file: OnFile = lambda name, done: None
    ) -> FilesCheck:
        """Hold the manifest, and every file but the model card, against what the manifest records.

        `anew` hashes every file, whatever is known.

        Raises:
            ArtifactError: a file is missing or changed, with its name, what was recorded and what was found.
        """
        begun = perf_counter()
        check_files(artifact, manifest)
        if manifest.manifest_sha256 is not None:
            check_seal(artifact)
        known = {} if anew else self._read(artifact)
        files = {name: record for name, record in manifest.files.items() if name != MODEL_CARD}
        now: dict[str, KnownFile] = {}
        hashed = 0
        for name, record in files.items():
            path, before = artifact / name, known.get(name)
            try:
                if before is None or before.sha256 != record.sha256 or not _unchanged(path, before):
                    on_file(name, hashed)
                    before = _hashed(path, record)
                    hashed += record.bytes
            except OSError as error:
                raise ArtifactError(f"{path} can't be read ({error.strerror or error}): copy it again") from error
            if before is not None:
                now[name] = before
        if now != known:
            write_whole(self._path(artifact), _FILES.dump_json({"files": now}).decode())
        size = sum(record.bytes for record in files.values())
        return FilesCheck(files=len(files), bytes=size, hashed=hashed, seconds=perf_counter() - begun)

    def moved(self, artifact: Path, to: Path) -> None:
        """Note that a folder with known files has a new name."""
        with suppress(OSError):
            self._path(artifact).replace(self._path(to))

    def _path(self, artifact: Path) -> Path:
        name = sha256(os.fsencode(artifact.resolve())).hexdigest()[:32]
        return self.folder / f"{name}.json"

    def _read(self, artifact: Path) -> dict[str, KnownFile]:
        try:
            return _FILES.validate_json(self._path(artifact).read_bytes())["files"]
        except (OSError, ValueError, KeyError):
            return {}


def _unchanged(path: Path, known: KnownFile) -> bool:
    """Whether a file's facts are those of when it was hashed, and the sums of a few blocks too."""
    if FileFacts.of(path) != known.facts:
        return False
    block = np.zeros(BLOCK // 8, np.uint64)
    with path.open("rb", buffering=0) as file:
        for at in sorted(sample(range(len(known.sums)), min(SAMPLED, len(known.sums)))):
            file.seek(at * BLOCK)
            _fill(block, file)
            if int(block.sum()) != known.sums[at]:
                return False
    return True


def _hashed(path: Path, record: FileRecord) -> KnownFile | None:
    """Hash a file. Return None if its facts could not show a later change.

    Raises:
        ArtifactError: its sha256 is not the recorded one.
        OSError: it can't be read.
    """
    facts, began = FileFacts.of(path), time_ns()
    digest, sums = sha256(), []
    block = np.zeros(BLOCK // 8, np.uint64)
    with path.open("rb", buffering=0) as file:
        while count := _fill(block, file):
            digest.update(block.view(np.uint8)[:count].data)
            sums.append(int(block.sum()))
    if digest.hexdigest() != record.sha256:
        raise wrong_hash(path, digest.hexdigest(), record)
    known = KnownFile(facts=facts, sha256=record.sha256, sums=sums)
    return known if facts.tells(began) and FileFacts.of(path) == facts else None


def _fill(block: npt.NDArray[np.uint64], file: RawIOBase) -> int:
    """Read the next block and fill its rest with zeros. Return how many bytes the file had for it."""
    raw = block.view(np.uint8)
    count = 0
    while count < len(raw) and (more := file.readinto(raw[count:].data)):
        count += more
    raw[count:] = 0
    return count

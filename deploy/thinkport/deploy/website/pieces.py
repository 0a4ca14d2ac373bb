"""Cuts files into pieces that are named by their hashes, as common hosts refuse files above 25 MiB."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_PIECE_BYTES = 20 << 20


@dataclass(frozen=True, kw_only=True)
class PiecedFile:
    """A file in pieces: its bytes, its sha256 and those of its pieces, in their order (hex)."""

    bytes: int
    sha256: str
    pieces: tuple[str, ...]


def cut(file: Path | bytes, into: Path, piece_bytes: int) -> PiecedFile:
    """Write a file's pieces as `into`/SHA256.bin, unless they are there; the last one may be shorter."""
    content, size, pieces = hashlib.sha256(), 0, []
    for piece in _read(file, piece_bytes):
        content.update(piece)
        size += len(piece)
        pieces.append(hashlib.sha256(piece).hexdigest())
        path = into / f"{pieces[-1]}.bin"
        if not path.exists():
            path.write_bytes(piece)
    return PiecedFile(bytes=size, sha256=content.hexdigest(), pieces=tuple(pieces))


def _read(file: Path | bytes, piece_bytes: int) -> Iterator[bytes]:
    if isinstance(file, bytes):
        for at in range(0, len(file), piece_bytes):
            yield file[at : at + piece_bytes]
        return
    with file.open("rb") as stream:
        while piece := stream.read(piece_bytes):
            yield piece

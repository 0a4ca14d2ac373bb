"""Reads the header of a GGUF file: single values of its metadata, and where each tensor lies.

Format: ggml's docs/gguf.md, versions 2 and 3, little-endian. Arrays, such as the tokenizer's, are passed over.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from thinkport.export.checkpoint.small_files import check_inside, unreadable
from thinkport.export.errors import CheckpointError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = "general.alignment"
_MOST_DIMENSIONS = 8
_LONGEST = 1 << 28  # bytes of a text, and elements of an array


@dataclass(frozen=True, kw_only=True)
class GgufEntry:
    """A tensor: ggml's number of its type, its shape with rows first, and the byte of the file where it begins."""

    name: str
    kind: int
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, kw_only=True)
class GgufHeader:
    """Metadata by key, arrays left out, and the tensors in the file's order."""

    metadata: Mapping[str, Any]
    entries: list[GgufEntry]


def read_gguf_header(file: Path) -> GgufHeader:
    """The header of a file.

    Raises:
        CheckpointError: the file can't be read, is none of GGUF, or ends within its header.
    """
    check_inside(file)
    try:
        with file.open("rb") as stream:
            return _header(file, stream)
    except OSError as error:
        raise unreadable(file, error) from error
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError, RecursionError) as error:
        raise CheckpointError(
            f"{file.name}: its GGUF header is damaged or cut short ({error!r}); fetch it again"
        ) from error


def _header(file: Path, stream: BinaryIO) -> GgufHeader:
    magic, version = stream.read(4), _number(stream, "<I")
    if magic != MAGIC or version not in VERSIONS:
        raise CheckpointError(
            f"{file.name} begins with {magic!r} and version {version}; expected a GGUF file of version 2 or 3"
        )
    tensors, values = _number(stream, "<Q"), _number(stream, "<Q")
    metadata: dict[str, Any] = {}
    for _ in range(values):
        key = _text(stream)
        value = _value(stream, _number(stream, "<I"))
        if value is not None:
            metadata[key] = value
    found = [_entry(stream) for _ in range(tensors)]
    alignment = metadata.get(_ALIGNMENT, 32)
    if type(alignment) is not int or alignment < 1:
        raise ValueError(f"an alignment of {alignment!r}")
    start = -(-stream.tell() // alignment) * alignment
    entries = [
        GgufEntry(name=name, kind=kind, shape=shape, offset=start + offset) for name, kind, shape, offset in found
    ]
    return GgufHeader(metadata=metadata, entries=entries)


def _entry(stream: BinaryIO) -> tuple[str, int, tuple[int, ...], int]:
    name, dimensions = _text(stream), _number(stream, "<I")
    if dimensions > _MOST_DIMENSIONS:
        raise OverflowError(f"{name!r:.200} of {dimensions} dimensions")
    shape = tuple(_number(stream, "<Q") for _ in range(dimensions))
    return name, _number(stream, "<I"), shape[::-1], _number(stream, "<Q")  # ggml names the columns first


def _value(stream: BinaryIO, kind: int) -> Any:
    """A single value; None for an array, which is passed over."""
    if kind == _STRING:
        return _text(stream)
    if kind != _ARRAY:
        return _number(stream, _NUMBERS[kind])
    of, length = _number(stream, "<I"), _number(stream, "<Q")
    if length > _LONGEST:
        raise OverflowError(f"an array of {length}")
    if of in _NUMBERS:
        stream.seek(length * struct.calcsize(_NUMBERS[of]), 1)
        return None
    for _ in range(length):
        _value(stream, of)
    return None


def _text(stream: BinaryIO) -> str:
    length = _number(stream, "<Q")
    if length > _LONGEST:
        raise OverflowError(f"a text of {length} bytes")
    return stream.read(length).decode("utf-8", "replace")


def _number(stream: BinaryIO, form: str) -> Any:
    return struct.unpack(form, stream.read(struct.calcsize(form)))[0]

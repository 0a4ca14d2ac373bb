"""Reads safetensors lazily: the header once, then ranges of rows with plain reads.

The file is never mapped: pages of a mapping count as this program's memory for as long as it stays open, and a
checkpoint is larger than the memory it is exported in. Every read opens the file for itself, so that any number of
threads may read at once and nothing is left open. Format: the safetensors documentation's section of that name.
"""

import json
import math
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.small_files import LFS, check_inside, lfs_pointer, unreadable
from thinkport.export.errors import CheckpointError
from thinkport.export.quantize.integers import IntegerForm, Integers

LARGEST_HEADER = 100_000_000  # bytes; the limit of the reference reader
_MOST_DIMENSIONS, _LONGEST = 8, 1 << 40  # of a tensor; no real one comes near
ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
READABLE = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}  # how numpy reads them; of bf16, the bits
_RAW = READABLE | {"F8_E4M3": "u1", "U8": "u1", "I8": "i1", "I32": "<i4", "U32": "<u4", "I64": "<i8"}


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor lies. `offset` counts bytes from the start of `file`; `dtype` is safetensors' name for it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    nbytes: int

    @property
    def place(self) -> tuple[Path, int, int]:
        """Its file, offset and size in bytes."""
        return self.file, self.offset, self.nbytes

    @property
    def source(self) -> str:
        """What holds its numbers, in words."""
        return self.file.name

    @property
    def row_weights(self) -> int:
        """Elements of one row, a row being one index of the first dimension."""
        return math.prod(self.shape[1:])

    @property
    def is_float(self) -> bool:
        """Whether `rows` can give its weights."""
        return self.dtype in READABLE

    @property
    def is_quantized(self) -> bool:
        """Whether the weights are stored in other numbers than they stand for."""
        return False

    @property
    def form(self) -> IntegerForm | None:
        """The form in which an artifact can hold the tensor's own integers; None where it has none that fit."""
        return None

    @property
    def obstacle(self) -> str | None:
        """Why a quantized tensor has no `form`, in words; None where it has one, or is not quantized."""
        return None

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows start..stop as float32 (stop - start, *shape[1:]), a fresh array; see `read_rows`."""
        return read_rows(self, start, stop)

    def integers(self, start: int, stop: int) -> Integers:
        """The integers of rows start..stop, of a matrix that has a `form`."""
        raise TypeError(f"{self.name} has no integers")


def read_header(file: Path) -> dict[str, TensorEntry]:
    """The tensors of a safetensors file, by name, in the order of their bytes.

    Raises:
        CheckpointError: the file can't be read, is cut short, or its header isn't a valid one.
    """
    check_inside(file)
    try:
        facts = file.stat()
        size = facts.st_size
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            raise CheckpointError(f"{file} is no regular file; expected safetensors: fetch it again")
        with file.open("rb", buffering=0) as stream:
            begin = stream.read(8)
            if begin == LFS[:8]:
                raise lfs_pointer(file)
            if begin.startswith(b"GGUF"):
                raise CheckpointError(f"{file.name} is a GGUF file by its content: give it a name that ends in .gguf")
            length = int.from_bytes(begin, "little")
            if size < 8 or length > min(size - 8, LARGEST_HEADER):
                raise CheckpointError(
                    f"{file.name}: not a whole safetensors file: it has {size} bytes and its header claims {length}; "
                    "fetch it again"
                )
            raw = stream.read(length)
    except OSError as error:
        raise unreadable(file, error) from error
    header = _parse(file, raw)
    header.pop("__metadata__", None)
    entries = [_entry(file, name, value, 8 + length) for name, value in header.items()]
    entries.sort(key=lambda entry: (entry.offset, entry.nbytes))
    _check_layout(file, entries, 8 + length, size)
    return {entry.name: entry for entry in entries}


def read_rows(entry: TensorEntry, start: int, stop: int) -> NDArray[np.float32]:
    """Rows start..stop of a bf16, fp16 or fp32 tensor as float32 (stop - start, *shape[1:]), a fresh array.

    Raises:
        CheckpointError: another dtype, or the file can't be read any more.
    """
    if entry.dtype not in READABLE:
        raise CheckpointError(
            f"{entry.name} is stored as {entry.dtype}; expected {', '.join(READABLE)}: "
            "export the checkpoint that it was made from"
        )
    if not 0 <= start <= stop <= entry.shape[0]:
        raise IndexError(f"rows {start}..{stop} of {entry.name}, which has {entry.shape[0]}")
    return as_floats(entry, read_raw(entry, start, stop))


def read_raw(entry: TensorEntry, start: int, stop: int) -> NDArray[Any]:
    """Rows start..stop as they are stored, of bf16 and fp8 the bits; a fresh array. See `read_rows`."""
    count, row_bytes = (stop - start) * entry.row_weights, entry.row_weights * ITEM_BYTES[entry.dtype]
    try:
        numbers = np.fromfile(entry.file, _RAW[entry.dtype], count, offset=entry.offset + start * row_bytes)
    except OSError as error:
        raise unreadable(entry.file, error) from error
    if len(numbers) < count:
        raise CheckpointError(f"{entry.file.name} became shorter while {entry.name} was read from it")
    return numbers.reshape(stop - start, *entry.shape[1:])


def read_columns(entry: TensorEntry, start: int, stop: int) -> NDArray[Any]:
    """Columns start..stop of a matrix as they are stored, a fresh array (rows, stop - start).

    Mapped for as long as it takes, and only the pages that hold these columns are read.

    Raises:
        CheckpointError: the file can't be read any more.
    """
    try:
        mapped = np.memmap(entry.file, _RAW[entry.dtype], "r", entry.offset, entry.shape)
    except ValueError as error:  # the file ends before
        raise CheckpointError(f"{entry.file.name} became shorter while {entry.name} was read from it") from error
    except OSError as error:
        raise unreadable(entry.file, error) from error
    return np.array(mapped[:, start:stop])


def as_floats(entry: TensorEntry, numbers: NDArray[Any]) -> NDArray[np.float32]:
    """What was read of a bf16, fp16 or fp32 tensor, as float32."""
    if entry.dtype == "BF16":
        bits = numbers.astype(np.uint32)
        bits <<= 16  # bf16 is the upper half of a float32
        numbers = bits.view(np.float32)
    return numbers.astype(np.float32, copy=False)


def _parse(file: Path, raw: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name occurs twice")
        return found

    try:
        header = json.loads(raw, object_pairs_hook=unique)
    except (ValueError, RecursionError, MemoryError) as error:  # also JSON's and UTF-8's errors
        raise CheckpointError(f"{file.name}: its safetensors header isn't valid: {error}; fetch it again") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{file.name}: its safetensors header isn't an object; fetch it again")
    return header


def _entry(file: Path, name: str, value: Any, base: int) -> TensorEntry:
    try:
        dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        if len(shape) > _MOST_DIMENSIONS:
            raise ValueError(f"{len(shape)} dimensions")
        if not all(type(number) is int and 0 <= number <= _LONGEST for number in (*shape, begin, end)):
            raise ValueError("a negative, fractional or absurd number")
        nbytes = math.prod(shape) * ITEM_BYTES[dtype]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file.name}: the header's entry for {name:.200} isn't valid: {error!r:.200}; fetch it again"
        ) from error
    if end - begin != nbytes:
        raise CheckpointError(
            f"{file.name}: {name} is {dtype} {list(shape)}, {nbytes} bytes, but its offsets span {end - begin}"
        )
    return TensorEntry(name, dtype, shape, file, base + begin, nbytes)


def _check_layout(file: Path, entries: list[TensorEntry], base: int, size: int) -> None:
    """The format allows neither overlaps nor holes, and the last tensor must end where the file does."""
    at = base
    for entry in entries:
        if entry.offset != at:
            kind = "overlaps the tensor before it" if entry.offset < at else "leaves a hole before it"
            raise CheckpointError(f"{file.name}: {entry.name} {kind}; the file is damaged, fetch it again")
        at += entry.nbytes
    if at > size:
        raise CheckpointError(
            f"{file.name} is cut short: its header describes {at} bytes and it has {size}; fetch it again"
        )
    if at < size:
        raise CheckpointError(f"{file.name} has {size - at} bytes that its header doesn't describe; fetch it again")

"""How a file of weights that no artifact holds is made of those that it does: part of the manifest."""

from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from thinkport.runtime.artifact.record import Record


class WeightCopy(Record):
    """`bytes` bytes from `source` of the artifact's weights, as they are, to `at` of the derived file."""

    at: int = Field(ge=0)
    source: int = Field(ge=0)
    bytes: int = Field(gt=0)


class Int8Weight(Record):
    """A matrix to be rounded to int8 with a scale a row (see `thinkport.runtime.machine.derived_weights`).

    Read from the artifact's weights: at `codes`, uint8 (rows, columns / group_size, group_size * bits / 8), and at
    `scales`, float32 (rows, columns / group_size); at `points`, where weights have zero points of their own, uint8
    (rows, ceil(columns / group_size * bits / 8)). Written to the derived file: at `at`, int8 (columns, rows), and at
    `scales_at`, float32 (rows,).
    """

    at: int = Field(ge=0)
    scales_at: int = Field(ge=0)
    rows: int = Field(gt=0)
    columns: int = Field(gt=0)
    codes: int = Field(ge=0)
    scales: int = Field(ge=0)
    points: int | None = Field(default=None, ge=0)
    bits: Literal[4, 8]
    group_size: int = Field(gt=0)


class Derivation(Record):
    """A file of weights that no artifact holds: `file`, of `bytes` bytes, made of the artifact's file `weights`."""

    file: str
    bytes: int = Field(gt=0)
    weights: str
    copies: list[WeightCopy]
    int8: list[Int8Weight]

    @field_validator("file")
    @classmethod
    def _plain(cls, file: str) -> str:
        if PurePosixPath(file).name != file or "\\" in file or ":" in file:
            raise ValueError(f"{file!r} is no plain file name")
        return file

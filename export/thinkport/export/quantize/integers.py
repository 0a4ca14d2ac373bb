"""Weights that a checkpoint already holds as integers: codes, scales and zero points. Pure numpy; knows no file.

The value of a weight is `(code - point) * scale`, computed in float32: exact but for one rounding of the product, and
exact altogether if scales are float16 or bfloat16.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thinkport.export.quantize.recipes import BITS, GROUP_SIZES

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class IntegerForm:
    """How a matrix's integers are stored in an artifact.

    Attributes:
        bits: 4 or 8.
        group_size: 32, 64 or 128 columns that share a scale, and a zero point where there are any.
        points: whether some group has a zero point other than 2**(bits - 1).
    """

    bits: int
    group_size: int
    points: bool = False

    def __str__(self) -> str:
        return f"{self.bits} bits in groups of {self.group_size}{' with zero points' if self.points else ''}"


@dataclass(frozen=True, kw_only=True)
class Integers:
    """Rows of a matrix.

    Attributes:
        codes: uint8 (n, k), below 2**bits.
        scales: float32 (n, groups), a group being k / groups columns.
        points: uint8 (n, groups); None where all are 2**(bits - 1).
        bits: of a code.
    """

    codes: Codes
    scales: Floats
    points: Codes | None
    bits: int

    def floats(self) -> Floats:
        """The weights that the integers stand for, float32 (n, k)."""
        n, groups = self.scales.shape
        values = self.codes.reshape(n, groups, -1).astype(np.float32)
        values -= np.float32(2 ** (self.bits - 1)) if self.points is None else self.points[:, :, None]
        values *= self.scales[:, :, None]
        return values.reshape(n, -1)

    def floats_by(self, order: NDArray[np.int64]) -> Floats:
        """The same weights, if `order` gives the group of each column, int64 (k,)."""
        values = self.codes.astype(np.float32)
        values -= np.float32(2 ** (self.bits - 1)) if self.points is None else self.points[:, order]
        values *= self.scales[:, order]
        return values

    def in_groups(self, form: IntegerForm) -> "Integers":
        """The same weights in the groups of `form`, whose size divides this one's, with zero points if it has them."""
        n, groups = self.scales.shape
        times = self.codes.shape[1] // groups // form.group_size
        points = self.points
        if points is None and form.points:
            points = np.full((n, groups), 2 ** (self.bits - 1), np.uint8)
        return replace(
            self,
            scales=np.repeat(self.scales, times, axis=1),
            points=None if points is None else np.repeat(points, times, axis=1),
        )


def form_of(bits: int, group_size: int, *, points: bool) -> IntegerForm | None:
    """The form that holds such integers unchanged; None if none does.

    A wide group becomes several with the same scale.
    """
    fits = [size for size in GROUP_SIZES if group_size % size == 0]
    return IntegerForm(bits=bits, group_size=max(fits), points=points) if fits and bits in BITS else None


def common_form(forms: list[IntegerForm | None]) -> IntegerForm | None:
    """One form that holds several matrices unchanged; None if none does, since their bits differ.

    It has the smallest of their groups, and zero points if one of them has.
    """
    found = [form for form in forms if form is not None]
    if not found or len(found) < len(forms) or len({form.bits for form in found}) > 1:
        return None
    return IntegerForm(
        bits=found[0].bits,
        group_size=min(form.group_size for form in found),  # which divides the others
        points=any(form.points for form in found),
    )

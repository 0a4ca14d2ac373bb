"""Lays codes out as ONNX Runtime's MatMulNBits and GatherBlockQuantized read them, and takes them apart again.

Pure numpy; knows no file and no graph. The layout is that of `docs/ContribOperators.md`, com.microsoft.MatMulNBits: B
is uint8 (n, k / group_size, group_size * bits / 8), the code of the even column in the low four bits; scales are (n, k
/ group_size). A row is contiguous, so a range of rows is a range of bytes. GatherBlockQuantized's 4-bit data of shape
(n, k / 2) are the same bytes.
"""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def packed_shape(n: int, k: int, *, bits: int, group_size: int) -> tuple[int, int, int]:
    """Shape of MatMulNBits' input B, one byte an element."""
    return n, k // group_size, group_size * bits // 8


def pack(codes: Codes, *, bits: int, group_size: int) -> Codes:
    """Pack uint8 (n, k) codes, each below 2**bits, into B. At 8 bits this is a view of `codes`."""
    n, k = codes.shape
    shape = packed_shape(n, k, bits=bits, group_size=group_size)
    if bits == 8:
        return codes.reshape(shape)
    pairs: NDArray[np.uint16] = np.ascontiguousarray(codes).view("<u2")  # low byte: even column
    return (pairs | (pairs >> 4)).astype(np.uint8).reshape(shape)  # the cast keeps the low byte


def pack_points(points: Codes, *, bits: int) -> Codes:
    """Pack uint8 (n, groups) zero points for MatMulNBits: uint8 (n, ceil(groups * bits / 8)), low bits first."""
    if bits == 8:
        return points
    n, groups = points.shape
    even = np.zeros((n, groups + groups % 2), np.uint8)
    even[:, :groups] = points
    packed: Codes = even[:, 0::2] | (even[:, 1::2] << 4)
    return packed


def unpack_points(packed: Codes, groups: int, *, bits: int) -> Codes:
    """Undo `pack_points`."""
    return unpack(packed, bits=bits)[:, :groups]


def unpack(packed: Codes, *, bits: int) -> Codes:
    """Undo `pack`: uint8 (n, groups, bytes) to codes uint8 (n, k)."""
    n = len(packed)
    flat = packed.reshape(n, -1)
    if bits == 8:
        return flat
    codes = np.empty((n, flat.shape[1] * 2), np.uint8)
    np.bitwise_and(flat, 0x0F, out=codes[:, 0::2])
    np.right_shift(flat, 4, out=codes[:, 1::2])
    return codes


def dequantize(packed: Codes, scales: Floats, *, bits: int, points: Codes | None = None) -> Floats:
    """The float32 (n, k) weights of packed codes, their (n, groups) scales and packed zero points."""
    codes = unpack(packed, bits=bits)
    n, groups = scales.shape
    signed = codes.reshape(n, groups, -1).astype(np.float32)
    signed -= np.float32(2 ** (bits - 1)) if points is None else unpack_points(points, groups, bits=bits)[:, :, None]
    signed *= scales[:, :, None].astype(np.float32)
    return signed.reshape(n, -1)

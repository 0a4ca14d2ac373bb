"""Makes the weights file of a prefill graph from the artifact's own weights, as the manifest says: copies, and int8
weights.

Memory is bounded by the largest matrix and the number of threads. int8 weights have one scale a row. CPUs without VNNI
(AVX2) multiply uint8 activations by int8 weights and add the products of two neighbouring columns in 16 bits, where
they saturate (x86's vpmaddubsw). Two neighbouring weights a, b stay below that while 255 * (|a| + |b|) <= 32767. So a
row's scale keeps the sum of every pair within 128: the product is exact on any CPU and costs about a third of a bit (a
limit of 64 for each weight would cost a whole bit).
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from thinkport.runtime.artifact.derivation import Derivation, Int8Weight

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_BLOCK_BYTES = 1 << 20  # of float32: what numpy makes on the way stays in a core's cache
_LARGEST = 127  # of one weight; of a pair too, since rounding may add one to their sum
_SMALLEST = np.float32(1e-30)  # of a scale, for rows of zeros


def write_derived(derivation: Derivation, artifact: Path, folder: Path, threads: int) -> None:
    """Write `derivation.file` into `folder`.

    Raises:
        OSError: a file can't be read or written.
    """
    shipped = np.memmap(artifact / derivation.weights, np.uint8, mode="r")
    lock = Lock()
    with (folder / derivation.file).open("wb") as file, ThreadPoolExecutor(threads) as pool:

        def put(at: int, array: npt.NDArray[Any]) -> None:
            with lock:
                file.seek(at)
                file.write(np.ascontiguousarray(array).data.cast("B"))

        def put_int8(weight: Int8Weight) -> None:
            rows, groups = weight.rows, weight.columns // weight.group_size
            codes = shipped[weight.codes :][: rows * weight.columns * weight.bits // 8]
            scales = shipped[weight.scales :][: rows * groups * 4].view(np.float32)
            points = None
            if weight.points is not None:
                width = -(-groups * weight.bits // 8)
                points = shipped[weight.points :][: rows * width].reshape(rows, width)
            parts = codes.reshape(rows, groups, -1), scales.reshape(rows, groups)
            made, worth = int8_weight(*parts, bits=weight.bits, points=points)
            put(weight.at, made)
            put(weight.scales_at, worth)

        file.truncate(derivation.bytes)
        tasks = [pool.submit(put, copy.at, shipped[copy.source :][: copy.bytes]) for copy in derivation.copies]
        tasks += [pool.submit(put_int8, weight) for weight in derivation.int8]
        for task in tasks:
            task.result()


def int8_weight(
    codes: Codes, scales: Floats, *, bits: int, points: Codes | None = None
) -> tuple[npt.NDArray[np.int8], Floats]:
    """Weights as MatMulIntegerToFloat takes them, int8 (columns, rows), and the scale of each row, (rows,).

    `codes` are uint8 (rows, groups, group_size * bits / 8), the even column in the low four bits. A code less its zero
    point is the integer that it stands for: the zero point is 2**(bits - 1), or the group's own in `points`, uint8
    (rows, ceil(groups * bits / 8)), the even group in the low four bits. `scales` are float32 (rows, groups).
    """
    rows, columns = len(codes), codes[0].size * 8 // bits
    weight = np.empty((columns, rows), np.int8)
    row_scales = np.empty(rows, np.float32)
    step = max(1, _BLOCK_BYTES // (4 * columns))
    for start in range(0, rows, step):
        part = slice(start, start + step)
        values = _dequantized(codes[part], scales[part], bits, None if points is None else points[part])
        row_scales[part] = worth = _row_scales(values)
        values *= (1 / worth)[:, None]
        np.rint(values, out=values)
        weight[:, part] = values.astype(np.int8).T
    return weight, row_scales


def _dequantized(codes: Codes, scales: Floats, bits: int, points: Codes | None) -> Floats:
    """float32 (rows, columns)."""
    values = _unpacked(codes, bits)
    if points is None:
        values -= np.float32(2 ** (bits - 1))
    else:
        values -= _unpacked(points, bits)[:, : scales.shape[1], None]
    values *= scales[:, :, None]
    return values.reshape(len(scales), -1)


def _unpacked(codes: Codes, bits: int) -> Floats:
    """The codes along the last axis as float32."""
    if bits == 8:
        return codes.astype(np.float32)
    values = np.empty((*codes.shape[:-1], 2 * codes.shape[-1]), np.float32)
    values[..., 0::2] = codes & 0x0F
    values[..., 1::2] = codes >> 4
    return values


def _row_scales(values: Floats) -> Floats:
    sizes = np.abs(values)
    alone = sizes.max(axis=1)
    pairs = (sizes[:, 0::2] + sizes[:, 1::2]).max(axis=1)
    worth: Floats = np.maximum(np.maximum(alone, pairs) / np.float32(_LARGEST), _SMALLEST)
    return worth

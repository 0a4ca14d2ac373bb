"""Writes the weights file of a prefill graph, out of an artifact's own, as the manifest says.

Knows byte ranges. Memory is bounded by the largest matrix and the number of threads.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from thinkport.runtime.artifact.derivation import Derivation, Int8Weight, WeightCopy
from thinkport.runtime.machine.int8_weights import int8_weight


def write_derived(derivation: Derivation, artifact: Path, folder: Path, threads: int) -> None:
    """Write `derivation.file` into `folder`.

    Raises:
        OSError: a file can't be read or written.
    """
    shipped = np.memmap(artifact / derivation.weights, np.uint8, mode="r")
    with (folder / derivation.file).open("wb") as file, ThreadPoolExecutor(threads) as pool:
        file.truncate(derivation.bytes)
        output = _DerivedFile(file)
        tasks = [pool.submit(output.copy, shipped, copy) for copy in derivation.copies]
        tasks += [pool.submit(output.round, shipped, weight) for weight in derivation.int8]
        for task in tasks:
            task.result()


class _DerivedFile:
    """A file written at any place from several threads."""

    def __init__(self, file: BinaryIO):
        self._file, self._lock = file, Lock()

    def copy(self, shipped: npt.NDArray[np.uint8], copy: WeightCopy) -> None:
        self._put(copy.at, shipped[copy.source : copy.source + copy.bytes])

    def round(self, shipped: npt.NDArray[np.uint8], weight: Int8Weight) -> None:
        rows, groups = weight.rows, weight.columns // weight.group_size
        codes = _part(shipped, weight.codes, rows * weight.columns * weight.bits // 8)
        scales = _part(shipped, weight.scales, rows * groups * 4).view(np.float32)
        made, worth = int8_weight(codes.reshape(rows, groups, -1), scales.reshape(rows, groups), bits=weight.bits)
        self._put(weight.at, made)
        self._put(weight.scales_at, worth)

    def _put(self, at: int, array: npt.NDArray[np.generic]) -> None:
        with self._lock:
            self._file.seek(at)
            self._file.write(np.ascontiguousarray(array).data.cast("B"))


def _part(shipped: npt.NDArray[np.uint8], start: int, size: int) -> npt.NDArray[np.uint8]:
    return shipped[start : start + size]

"""Writes the weights file of a prefill graph, out of an artifact's own, as the manifest says.

Knows byte ranges. Memory is bounded by the largest matrix and the number of threads.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from thinkport.runtime.artifact.derivation import Derivation, Int8Weight
from thinkport.runtime.machine.int8_weights import int8_weight


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

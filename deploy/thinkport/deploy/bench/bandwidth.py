"""How fast memory is read, which limits decoding: by the kernels' library where it is, by numpy elsewhere.

Knows how much has to be read so that no cache holds it. Must not know what is decoded.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from thinkport.deploy.hardware import Hardware
from thinkport.runtime.providers.kernels import PACKAGE, Kernels

LEAST = 512 << 20  # bytes
_CACHES = 4  # times the last cache: what is left of a round in it is then a quarter at most
_PART = 4  # of free memory, which others need too
_ROUNDS = 3
_READ = "thinkport_read_bandwidth"  # the library's function
_BLOCK = 1 << 20  # elements; numpy's maximum reads about as fast as memory gives, and holds no lock


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """`speed` in bytes per second over `bytes` of memory; `cache` is the last cache's bytes, None where unknown.

    `by` is what read: thinkport-kernels, in huge pages and several streams, or numpy, in one.
    """

    speed: float
    bytes: int
    cache: int | None
    by: str

    def __str__(self) -> str:
        said = f"{self.speed / 1e9:.1f} GB/s of {self.bytes / 2**20:,.0f} MiB of memory, by {self.by}"
        if self.cache is None:
            return f"{said}; how large the last cache is is unknown: the weights may lie in it"
        if self.bytes < _CACHES * self.cache:
            return f"{said}; the last cache has {self.cache / 2**20:,.0f} MiB: the weights may lie in it"
        return said


def read_bandwidth(threads: int, hardware: Hardware, *, bytes: int | None = None) -> Bandwidth:  # noqa: A002 - as above
    """What `threads` read together at best, of four times the last cache's size or more, if so much memory is free."""
    wanted = max(LEAST, _CACHES * (hardware.last_cache or 0))
    size = bytes or min(wanted, hardware.memory_free // _PART)
    kernels = Kernels.here()
    speed, by = 0.0, PACKAGE
    if kernels.library is not None and kernels.obstacle is None:
        speed = _by_library(kernels.library, threads, size)
    if not speed:
        speed, by = _by_numpy(threads, size), "numpy"
    return Bandwidth(speed=speed, bytes=size, cache=hardware.last_cache, by=by)


def _by_library(library: Path, threads: int, size: int) -> float:
    """0 where it has no memory for that, or is older than this function."""
    read = getattr(ctypes.CDLL(str(library)), _READ, None)
    if read is None:
        return 0.0
    read.restype, read.argtypes = ctypes.c_double, [ctypes.c_size_t] * 3
    return float(read(threads, size, _ROUNDS))


def _by_numpy(threads: int, size: int) -> float:
    shares = [np.arange(size // threads // 4, dtype=np.int32) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            start = perf_counter()
            list(pool.map(_read, shares))
            best = max(best, size / (perf_counter() - start))
    return best


def _read(share: NDArray[np.int32]) -> int:
    return max(int(share[at : at + _BLOCK].max()) for at in range(0, len(share), _BLOCK))

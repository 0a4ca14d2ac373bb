"""How fast this machine reads memory: the limit of decoding, which reads every weight for every token."""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

_BYTES = 256 << 20  # a thread's share; several times any last-level cache
_BLOCK = 1 << 20  # elements; numpy's maximum reads as fast as memory gives, and holds no lock


def read_bandwidth(threads: int, *, size: int = _BYTES, rounds: int = 6) -> float:
    """Bytes per second that `threads` read together, the best of some rounds over `size` bytes a thread."""
    shares = [np.arange(size // 4, dtype=np.int32) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            start = perf_counter()
            list(pool.map(_read, shares))
            best = max(best, threads * size / (perf_counter() - start))
    return best


def _read(share: NDArray[np.int32]) -> int:
    return max(int(share[at : at + _BLOCK].max()) for at in range(0, len(share), _BLOCK))

"""The machine that was measured: hardware, system, the packages that ran, and how fast memory is read."""

import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.deploy.hardware import Hardware, installed_versions, this_hardware
from thinkport.deploy.targets import TARGETS

_PACKAGES = ("thinkport", *(name for entry in TARGETS.values() for name in entry.packages), "numpy")
_BYTES = 256 << 20  # a thread's share; several times any last-level cache
_BLOCK = 1 << 20  # elements; numpy's maximum reads as fast as memory gives, and holds no lock


@dataclass(frozen=True, kw_only=True)
class BenchMachine:
    """Hardware, the system's name and release, and versions by distribution."""

    hardware: Hardware
    system: str
    packages: dict[str, str]

    @property
    def title(self) -> str:
        """One line: `AMD EPYC, 2 cores, 23.4 GiB, avx2, Linux 6.1`."""
        own = self.hardware
        widest = f", {own.features[-1]}" if own.features else ""
        return f"{own.processor}, {own.cores} cores, {own.memory / 2**30:.1f} GiB{widest}, {self.system}"

    def as_json(self) -> dict[str, Any]:
        """For programs; memory in bytes."""
        return asdict(self)


def this_machine() -> BenchMachine:
    """The machine that this process runs on."""
    system = f"{platform.system()} {platform.release()}"
    return BenchMachine(hardware=this_hardware(), system=system, packages=installed_versions(_PACKAGES))


def read_bandwidth(threads: int, *, size: int = _BYTES, rounds: int = 6) -> float:
    """Bytes per second that `threads` read together. This limits decoding, which reads every weight for every token.

    It is the best of some rounds over `size` bytes a thread.
    """
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

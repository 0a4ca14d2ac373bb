"""The hardware that this process runs on, as its system tells it, and versions of what is installed."""

import os
import platform
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from thinkport.runtime.machine.cpu_features import cpu_features
from thinkport.runtime.machine.sysctl import sysctl_number
from thinkport.runtime.machine.threads import physical_cores

# What the int8 and float kernels of CPU engines choose by, the widest last.
_X86 = ("sse4_2", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8")
_ARM = ("asimddp", "i8mm", "sve")
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """`cores` are physical ones that the process may use; memory and all last caches in bytes, None where unknown."""

    processor: str
    cores: int
    features: tuple[str, ...]
    memory: int
    memory_free: int
    last_cache: int | None = None


def this_hardware() -> Hardware:
    """Of this process."""
    told, memory = cpu_features().split(), psutil.virtual_memory()
    return Hardware(
        processor=_processor(),
        cores=physical_cores() or os.cpu_count() or 1,
        features=tuple(word for word in (*_X86, *_ARM) if word in told),
        memory=memory.total,
        memory_free=memory.available,
        last_cache=last_cache(),
    )


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Of those distributions that are installed."""
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def last_cache(cpus: Path = _CPUS) -> int | None:
    """Bytes of all caches of the last level, as Linux or macOS tells them; None where the system doesn't."""
    if sys.platform == "darwin":
        return sysctl_number("hw.l3cachesize") or sysctl_number("hw.perflevel0.l2cachesize")
    found: dict[tuple[int, str], int] = {}  # by level and the CPUs that share it
    for folder in cpus.glob("cpu*/cache/index*"):
        with suppress(OSError, ValueError):
            level, shared, size = ((folder / name).read_text().strip() for name in ("level", "shared_cpu_list", "size"))
            found[int(level), shared] = int(size.removesuffix("K")) << 10
    last = max((level for level, _ in found), default=None)
    return sum(size for (level, _), size in found.items() if level == last) or None


def _processor() -> str:
    """The CPU's model as Linux names it; elsewhere what Python knows."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

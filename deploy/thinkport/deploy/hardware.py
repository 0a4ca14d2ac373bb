"""The hardware that this process runs on, as its system tells it, and versions of what is installed."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from thinkport.runtime.machine.threads import physical_cores

# What the int8 and float kernels of CPU engines choose by, the widest last.
_FEATURES = (
    "sse4_2",
    "f16c",
    "fma",
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "amx_int8",
    "asimddp",
    "i8mm",
    "sve",
)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """`cores` are physical ones that the process may use; memory in bytes."""

    processor: str
    cores: int
    features: tuple[str, ...]
    memory: int
    memory_free: int


def this_hardware() -> Hardware:
    """Of this process."""
    processor, features = _processor()
    memory = psutil.virtual_memory()
    cores = physical_cores() or os.cpu_count() or 1
    return Hardware(
        processor=processor, cores=cores, features=features, memory=memory.total, memory_free=memory.available
    )


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, tuple[str, ...]]:
    name = platform.processor() or platform.machine()
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return name, ()
    told = {key.strip().casefold(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = f"{told.get('flags', '')} {told.get('features', '')}".split()
    return told.get("model name", name), tuple(word for word in _FEATURES if word in flags)

"""The hardware that this process runs on, as its system tells it, and versions of what is installed."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from thinkport.runtime.threads import physical_cores

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
    """`cores` are physical ones that the process may use; memory in bytes, None where the system doesn't tell."""

    processor: str
    cores: int
    features: tuple[str, ...]
    memory: int | None
    memory_free: int | None


def this_hardware() -> Hardware:
    """Of this process."""
    processor, features = _processor()
    memory, free = _memory()
    cores = physical_cores() or os.cpu_count() or 1
    return Hardware(processor=processor, cores=cores, features=features, memory=memory, memory_free=free)


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


def _memory() -> tuple[int | None, int | None]:
    if find_spec("psutil") is not None:
        told = import_module("psutil").virtual_memory()
        return told.total, told.available
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None, None

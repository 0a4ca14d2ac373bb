"""How many threads a session gets: the fast physical cores that this process may use, within a container's share."""

import os
import struct
import sys
from collections.abc import Collection
from pathlib import Path

from thinkport.runtime.machine.linux_cpus import core_of, cpu_quota, fast_cpus
from thinkport.runtime.machine.sysctl import sysctl_number

_ROOT = Path("/")
_MACOS_KEYS = ("hw.perflevel0.physicalcpu", "hw.physicalcpu")  # performance cores of Apple's chips, all of Intel's
# GetLogicalProcessorInformationEx gives records of SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX (winnt.h).
_CORE = 0  # RelationProcessorCore
_HEADER = struct.Struct("<II")  # relationship, size of the record
_EFFICIENCY = _HEADER.size + 1  # after the flags: PROCESSOR_RELATIONSHIP.EfficiencyClass, higher is faster


def physical_cores() -> int | None:
    """How many threads work best here; None if the system does not say (ONNX Runtime then counts all cores)."""
    if sys.platform == "win32":
        return cores_on_windows(_core_records())
    if sys.platform == "darwin":
        return next(filter(None, map(sysctl_number, _MACOS_KEYS)), None)
    if hasattr(os, "sched_getaffinity"):
        return cores_on_linux(_ROOT, os.sched_getaffinity(0))
    return None


def cores_on_linux(root: Path, allowed: Collection[int]) -> int:
    """The fast cores among the `allowed` CPUs, at most as many as the control group's quota has whole CPUs.

    A process over its quota is stopped for the rest of a period, so part of a CPU is better left unused.
    """
    cores = len({core_of(root, cpu) for cpu in fast_cpus(root, allowed)})
    quota = cpu_quota(root)
    return cores if quota is None else max(1, min(cores, int(quota)))


def cores_on_windows(records: bytes) -> int | None:
    """The number of cores of the fastest class in Windows's records; None if there are none."""
    classes: list[int] = []
    at = 0
    while at + _HEADER.size < len(records):
        relationship, size = _HEADER.unpack_from(records, at)
        if relationship == _CORE:
            classes.append(records[at + _EFFICIENCY])
        at += max(size, _HEADER.size)
    return classes.count(max(classes)) if classes else None


def _core_records() -> bytes:
    """The records of all cores; empty if Windows has none, or this is not Windows."""
    if sys.platform == "win32":
        import ctypes

        tell = ctypes.WinDLL("kernel32").GetLogicalProcessorInformationEx
        size = ctypes.c_uint32(0)
        tell(_CORE, None, ctypes.byref(size))
        records = ctypes.create_string_buffer(size.value)
        return records.raw if tell(_CORE, records, ctypes.byref(size)) else b""
    return b""

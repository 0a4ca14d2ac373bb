"""This machine's CPU features, as text: weights that are packed for one CPU are useless on another.

Knows where each operating system reports them; must not know what is packed.
"""

import platform
import sys
from pathlib import Path

from thinkport.runtime.machine.sysctl import sysctl_text

_CPUINFO = Path("/proc/cpuinfo")
_LINUX_KEYS = ("flags", "features")  # x86 and Arm
_WINDOWS_FEATURES = 64  # IsProcessorFeaturePresent: 47 are named in winnt.h (SDK 26100)
_MACOS_KEYS = ("machdep.cpu.brand_string", "machdep.cpu.features", "machdep.cpu.leaf7_features")


def cpu_features(cpuinfo: Path = _CPUINFO) -> str:
    """The architecture with the instruction sets and, where the system names it, the model of the CPU."""
    if sys.platform == "win32":
        import ctypes

        present = ctypes.WinDLL("kernel32").IsProcessorFeaturePresent
        told = " ".join([platform.processor(), *(str(one) for one in range(_WINDOWS_FEATURES) if present(one))])
    elif sys.platform == "darwin":
        told = " ".join(filter(None, map(sysctl_text, _MACOS_KEYS)))
    else:
        told = _linux(cpuinfo)
    return f"{platform.machine()} {told}".strip()


def _linux(cpuinfo: Path) -> str:
    """The first core's flags in order: kernels list them differently, and the cores of one machine have the same."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip().casefold() in _LINUX_KEYS:
                    return " ".join(sorted(value.split()))
    except OSError:
        return ""
    return ""

"""Graphics drivers and their devices, as files and versions that change when one is installed or updated.

No driver is started. What a machine remembers of a plugin's devices holds for these. Must not know what is remembered.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Where Vulkan's loader looks for drivers on Linux: its document LoaderDriverInterface, "Driver discovery on Linux".
_DRIVERS = ("etc/vulkan/icd.d/*.json", "usr/local/share/vulkan/icd.d/*.json", "usr/share/vulkan/icd.d/*.json")
_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES")
_LOADERS = ("usr/lib/*/libvulkan.so.1", "usr/lib*/libvulkan.so.1", "usr/local/lib/libvulkan.so.1")
_DEVICES = ("dev/dri/renderD*",)  # of the kernel; a user may open some of them


def graphics_drivers(root: Path = Path("/")) -> tuple[str, ...]:
    """All that a plugin's devices depend on, in words. On Windows nothing: `graphics_devices` has the drivers there."""
    if sys.platform == "darwin":
        return (f"macOS {platform.mac_ver()[0]}",)  # which brings Metal's drivers
    if sys.platform == "win32":
        return ()
    return (*_files(root), *_devices(root))


def _files(root: Path) -> Iterator[str]:
    """The loader and the drivers, with the times at which they were changed."""
    named = [Path(one) for name in _VARIABLES for one in os.environ.get(name, "").split(os.pathsep) if one]
    for one in (*named, *_found(root, *_LOADERS, *_DRIVERS)):
        with suppress(OSError, ValueError):  # it is not there, or not for everyone to see, or no file's name
            yield f"{one} {one.stat().st_mtime_ns}"


def _devices(root: Path) -> Iterator[str]:
    for one in _found(root, *_DEVICES):
        yield f"{one} {'open' if os.access(one, os.R_OK | os.W_OK) else 'closed'}"


def _found(root: Path, *patterns: str) -> list[Path]:
    return [one for pattern in patterns for one in sorted(root.glob(pattern))]

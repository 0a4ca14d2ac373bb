"""The systems that a bundle can be made for: what markers and wheels' tags are called there.

Knows names only; must not know what is asked for on them.
"""

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

GLIBC = 35  # 2.35: Debian 12, Ubuntu 22.04 and newer


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One system: `tags` are its wheels' platform tags, best first; the others are values of environment markers."""

    name: str
    os_name: str
    sys_platform: str
    platform_system: str
    platform_machine: str
    tags: tuple[str, ...]

    @property
    def windows(self) -> bool:
        """Whether scripts are PowerShell's."""
        return self.os_name == "nt"

    def environment(self, python: str) -> dict[str, str]:
        """Values of every environment marker for a Python such as 3.12."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "os_name": self.os_name,
            "platform_machine": self.platform_machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": self.platform_system,
            "platform_version": "",
            "python_full_version": f"{python}.0",
            "python_version": python,
            "sys_platform": self.sys_platform,
        }


_WINDOWS = partial(Platform, os_name="nt", sys_platform="win32", platform_system="Windows")
_LINUX = partial(Platform, os_name="posix", sys_platform="linux", platform_system="Linux")
_MAC = partial(Platform, os_name="posix", sys_platform="darwin", platform_system="Darwin")


def _glibc(machine: str) -> tuple[str, ...]:
    return (*(f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 16, -1)), f"manylinux2014_{machine}")


_MAC_TAGS = (
    *(f"macosx_{major}_0_{kind}" for major in range(14, 10, -1) for kind in ("arm64", "universal2")),
    "macosx_10_13_universal2",
    "macosx_10_9_universal2",
)
_ALL = (
    _WINDOWS(name="win-amd64", platform_machine="AMD64", tags=("win_amd64",)),
    _WINDOWS(name="win-arm64", platform_machine="ARM64", tags=("win_arm64",)),
    _LINUX(name="linux-x86_64", platform_machine="x86_64", tags=_glibc("x86_64")),
    _LINUX(name="linux-aarch64", platform_machine="aarch64", tags=_glibc("aarch64")),
    _MAC(name="macos-arm64", platform_machine="arm64", tags=_MAC_TAGS),
)
PLATFORMS = MappingProxyType({one.name: one for one in _ALL})

"""The systems that a bundle can be made for: what markers and wheels' tags are called there.

Knows names only; must not know what is asked for on them.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from thinkport.runtime.errors import InputError

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


def _windows(name: str, machine: str) -> Platform:
    return Platform(
        name=name,
        os_name="nt",
        sys_platform="win32",
        platform_system="Windows",
        platform_machine=machine,
        tags=(name.replace("-", "_"),),
    )


def _linux(machine: str) -> Platform:
    newest_first = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 16, -1)]
    return Platform(
        name=f"linux-{machine}",
        os_name="posix",
        sys_platform="linux",
        platform_system="Linux",
        platform_machine=machine,
        tags=(*newest_first, f"manylinux2014_{machine}"),
    )


MAC = Platform(
    name="macos-arm64",
    os_name="posix",
    sys_platform="darwin",
    platform_system="Darwin",
    platform_machine="arm64",
    tags=(
        *(f"macosx_{major}_0_{kind}" for major in range(14, 10, -1) for kind in ("arm64", "universal2")),
        "macosx_10_13_universal2",
        "macosx_10_9_universal2",
    ),
)
PLATFORMS = MappingProxyType(
    {
        one.name: one
        for one in (
            _windows("win-amd64", "AMD64"),
            _windows("win-arm64", "ARM64"),
            _linux("x86_64"),
            _linux("aarch64"),
            MAC,
        )
    }
)


def platform_named(name: str) -> Platform:
    """The platform of a name.

    Raises:
        InputError: no such platform.
    """
    if name in PLATFORMS:
        return PLATFORMS[name]
    close = get_close_matches(name, PLATFORMS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "choose one of these"
    raise InputError(f"unknown platform {name!r}, expected one of: {', '.join(PLATFORMS)}; {hint}")

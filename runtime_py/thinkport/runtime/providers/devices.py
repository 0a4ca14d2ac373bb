"""The graphics devices of this machine and their drivers, as the operating system lists them: no driver is started.

A verdict on a provider holds for a driver and a device. Must not know providers.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc/driver/nvidia")
# The class of display adapters, a GUID that Windows fixes (Microsoft's "System-Defined Device Setup Classes").
_ADAPTERS = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"


@dataclass(frozen=True, kw_only=True)
class Device:
    """A graphics device; `driver` is its driver's version, `memory` its own memory in bytes, None where unknown."""

    name: str
    driver: str
    memory: int | None = None

    def __str__(self) -> str:
        return f"{self.name} (driver {self.driver})"


def graphics_devices(proc: Path = _PROC) -> list[Device]:
    """The devices in the system's order. On Linux those of NVIDIA's driver, on macOS none."""
    return list(_windows() if sys.platform == "win32" else _nvidia(proc))


def _nvidia(proc: Path) -> Iterator[Device]:
    try:
        told = (proc / "version").read_text(encoding="utf-8", errors="replace")
        cards = [path.read_text(encoding="utf-8", errors="replace") for path in proc.glob("gpus/*/information")]
    except OSError:
        return
    version = re.search(r"\d+\.\d+(\.\d+)?", told)
    for card in sorted(cards):
        name = re.search(r"^Model:\s*(.+?)\s*$", card, re.MULTILINE)
        yield Device(name=name[1] if name else "NVIDIA device", driver=version[0] if version else "unknown")


def _windows() -> Iterator[Device]:
    import winreg  # there on Windows only

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _ADAPTERS) as adapters:  # type: ignore[attr-defined, unused-ignore]
        for number in range(winreg.QueryInfoKey(adapters)[0]):  # type: ignore[attr-defined, unused-ignore]
            try:
                with winreg.OpenKey(adapters, winreg.EnumKey(adapters, number)) as adapter:  # type: ignore[attr-defined, unused-ignore]
                    yield _adapter(winreg, adapter)
            except OSError:  # a subkey that is no adapter, or is not for everyone to read
                continue


def _adapter(winreg: object, key: object) -> Device:
    def value(name: str) -> object:
        return winreg.QueryValueEx(key, name)[0]  # type: ignore[attr-defined]

    try:
        memory = value("HardwareInformation.qwMemorySize")
    except OSError:
        memory = None
    return Device(
        name=str(value("DriverDesc")),
        driver=str(value("DriverVersion")),
        memory=memory if isinstance(memory, int) else None,
    )

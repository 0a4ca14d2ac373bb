"""The machine that was measured: hardware, system, and the packages that ran."""

import platform
from dataclasses import asdict, dataclass
from typing import Any

from thinkport.deploy.hardware import Hardware, installed_versions, this_hardware
from thinkport.deploy.targets import TARGETS
from thinkport.runtime.providers.kernels import PACKAGE

_PACKAGES = ("thinkport", *(name for entry in TARGETS.values() for name in entry.packages), "numpy", PACKAGE)


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

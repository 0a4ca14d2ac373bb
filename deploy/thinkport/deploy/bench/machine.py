"""The machine that figures belong to: processor, memory, system and the packages that ran."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from thinkport.runtime.threads import physical_cores

_PACKAGES = ("thinkport", "onnxruntime", "onnxruntime-directml", "onnxruntime-gpu", "numpy")
# What the int8 and float kernels of CPU engines choose by, the widest last.
_FLAGS = ("sse4_2", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimddp", "i8mm", "sve")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Names and sizes; `memory` in bytes, 0 where the system does not tell."""

    processor: str
    cores: int
    memory: int
    flags: tuple[str, ...]
    system: str
    packages: dict[str, str]

    @property
    def title(self) -> str:
        """One line: `AMD EPYC, 2 cores, 23.4 GiB, avx2, Linux 6.1`."""
        widest = f", {self.flags[-1]}" if self.flags else ""
        memory = f", {self.memory / 2**30:.1f} GiB" if self.memory else ""
        return f"{self.processor}, {self.cores} cores{memory}{widest}, {self.system}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**vars(self), "flags": list(self.flags)}


def this_machine() -> Machine:
    """The machine that this process runs on."""
    facts = _cpuinfo()
    present = set(facts.get("flags", facts.get("Features", "")).split())
    return Machine(
        processor=facts.get("model name") or platform.processor() or platform.machine(),
        cores=physical_cores() or os.cpu_count() or 1,
        memory=_memory(),
        flags=tuple(flag for flag in _FLAGS if flag in present),
        system=f"{platform.system()} {platform.release()}",
        packages=dict(_versions()),
    )


def _cpuinfo(path: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """The first processor's lines; nothing where there is no such file."""
    try:
        first = path.read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found

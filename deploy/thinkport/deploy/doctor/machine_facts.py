"""What this machine has, for the doctor: interpreter, packages, ONNX Runtime's builds, memory, CPU and devices."""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from thinkport.runtime.devices import Device, graphics_devices
from thinkport.runtime.errors import MissingExtraError
from thinkport.runtime.ort import import_onnxruntime, load_libraries
from thinkport.runtime.ort_build import OrtBuild, build_of, installed_builds
from thinkport.runtime.threads import physical_cores

_GENAI = tuple(f"onnxruntime-genai{kind}" for kind in ("", "-cuda", "-directml", "-winml"))
PACKAGES = ("thinkport", "numpy", "tokenizers", "llguidance", *_GENAI)
_CPU_WORDS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


@dataclass(frozen=True, kw_only=True)
class MachineFacts:
    """The machine as it was found; memory in bytes, None where the system doesn't tell.

    `build` is ONNX Runtime as it is imported, None where there is none, with `import_error` in words; `builds` are the
    distributions that claim its folder, and `missing` the libraries that it looked for in vain.
    """

    python: str
    platform: str
    packages: Mapping[str, str]
    build: OrtBuild | None
    import_error: str
    builds: Mapping[str, str]
    missing: str
    devices: tuple[Device, ...]
    cores: int | None
    cpu: str
    cpu_features: tuple[str, ...]
    memory: int | None
    memory_free: int | None


def machine_facts() -> MachineFacts:
    """Look at this machine; ONNX Runtime is imported if it can be."""
    build, error, missing = _build()
    cpu, features = _cpu()
    memory, free = _memory()
    return MachineFacts(
        python=f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}",
        platform=platform.platform(),
        packages=dict(_versions()),
        build=build,
        import_error=error,
        builds=installed_builds(),
        missing=missing,
        devices=tuple(graphics_devices()),
        cores=physical_cores() or os.cpu_count(),
        cpu=cpu,
        cpu_features=features,
        memory=memory,
        memory_free=free,
    )


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def _build() -> tuple[OrtBuild | None, str, str]:
    try:
        ort = import_onnxruntime()
        return build_of(ort), "", load_libraries(ort)
    except MissingExtraError as error:
        return None, str(error), ""
    except (ImportError, AttributeError, OSError) as error:  # builds over one another, or a missing system library
        return None, f"onnxruntime can't be imported: {error}", ""


def _cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, tuple[str, ...]]:
    name = platform.processor() or platform.machine()
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return name, ()
    told = {key.strip().casefold(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = f"{told.get('flags', '')} {told.get('features', '')}".split()
    return told.get("model name", name), tuple(word for word in _CPU_WORDS if word in flags)


def _memory() -> tuple[int | None, int | None]:
    if find_spec("psutil") is not None:
        told = import_module("psutil").virtual_memory()
        return told.total, told.available
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None, None

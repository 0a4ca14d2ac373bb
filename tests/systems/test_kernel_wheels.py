"""The kernels' wheels for all systems, as Zig cross-compiles them: the library's form, what it exports and needs."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from compile_library import SYSTEMS

# How a library of each kind of system begins, where its CPU's number stands, and those numbers.
X86_64, ARM64 = (62, 0x8664, 0x01000007), (183, 0xAA64, 0x0100000C)
EXPORTED = (b"RegisterCustomOps", b"thinkport_kernel_set", b"thinkport_kernel_agrees", b"thinkport_read_bandwidth")
# What it may load, all of it the system's: on Windows kernel32 and the Universal C Runtime, on macOS libSystem.
LIBRARY = re.compile(rb"[\w/.@-]+\.(?:dll|dylib)", re.IGNORECASE)
LOADED = {
    "win": re.compile(rb"kernel32\.dll|api-ms-win-crt-[a-z]+-l1-1-0\.dll", re.IGNORECASE),
    "macos": re.compile(rb"/usr/lib/libSystem\.B\.dylib"),
}


def library_of(wheel: Path, system: str) -> bytes:
    with ZipFile(wheel) as file:
        return file.read(f"thinkport_kernels/{SYSTEMS[system].library}")


def number(content: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(content[at : at + size], "little")


@pytest.mark.long
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_wheel_holds_a_library_of_its_system_and_cpu(kernel_wheel: Callable[[str], Path], system: str) -> None:
    wheel = kernel_wheel(system)
    assert wheel.name.endswith(f"-py3-none-{SYSTEMS[system].tag}.whl")
    content, (elf, pe, mach_o) = library_of(wheel, system), ARM64 if SYSTEMS[system].cpu == "aarch64" else X86_64
    if system.startswith("linux"):
        assert (content[:4], number(content, 18, 2)) == (b"\x7fELF", elf)
    elif system.startswith("win"):
        header = number(content, 0x3C)
        assert (content[header : header + 4], number(content, header + 4, 2)) == (b"PE\0\0", pe)
        assert number(content, header + 8) == 0  # the time of linking, which would make other bytes each time
    else:
        assert (number(content, 0), number(content, 4)) == (0xFEEDFACF, mach_o)
        assert oldest_macos(content) == (11, 0)
    assert all(name in content for name in EXPORTED)


def oldest_macos(content: bytes) -> tuple[int, int]:
    """Of a Mach-O file: the minimum in LC_BUILD_VERSION (0x32; loader.h)."""
    at = 32
    for _ in range(number(content, 16)):
        if number(content, at) == 0x32:
            return number(content, at + 14, 2), number(content, at + 13, 1)
        at += number(content, at + 4)
    raise AssertionError("it does not say for which macOS it is")


@pytest.mark.long
@pytest.mark.parametrize("system", [name for name in SYSTEMS if not name.startswith("linux")])
def test_a_library_loads_nothing_but_its_systems_own(kernel_wheel: Callable[[str], Path], system: str) -> None:
    named = set(LIBRARY.findall(library_of(kernel_wheel(system), system)))
    others = {name for name in named if not name.endswith(SYSTEMS[system].library.encode())}
    assert others
    assert all(LOADED[system.partition("-")[0]].fullmatch(name) for name in others), others


@pytest.mark.long
@pytest.mark.parametrize("system", ["linux-x86_64", "linux-aarch64"])
def test_auditwheel_agrees_with_the_oldest_glibc(kernel_wheel: Callable[[str], Path], system: str) -> None:
    pytest.importorskip("auditwheel", reason="needs the package auditwheel: pip install auditwheel")
    show = [sys.executable, "-m", "auditwheel", "show", str(kernel_wheel(system))]
    done = subprocess.run(show, capture_output=True, text=True, check=True)
    said = " ".join(done.stdout.split())
    assert f'is consistent with the following platform tag: "{SYSTEMS[system].tag}"' in said

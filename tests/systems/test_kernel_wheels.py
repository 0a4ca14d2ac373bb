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
DLL = re.compile(rb"[\w.-]+\.dll", re.IGNORECASE)
# What a DLL may load: kernel32, and the Universal C Runtime that is a part of Windows from 10 on.
WINDOWS_OWN = re.compile(rb"kernel32\.dll|api-ms-win-crt-[a-z]+-l1-1-0\.dll", re.IGNORECASE)
ID_DYLIB, LOAD_DYLIB, BUILD_VERSION = 0xD, 0xC, 0x32  # load commands of a Mach-O file (loader.h)


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


def commands(content: bytes, kind: int) -> list[int]:
    """Where the load commands of a kind begin in a Mach-O file."""
    found, at = [], 32
    for _ in range(number(content, 16)):
        if number(content, at) == kind:
            found.append(at)
        at += number(content, at + 4)
    return found


def oldest_macos(content: bytes) -> tuple[int, int]:
    (at,) = commands(content, BUILD_VERSION)
    return number(content, at + 14, 2), number(content, at + 13, 1)


def dylibs(content: bytes, kind: int) -> list[bytes]:
    """The names in commands of a kind that names a dylib."""
    starts = (at + number(content, at + 8) for at in commands(content, kind))
    return [content[start : content.index(b"\0", start)] for start in starts]


@pytest.mark.long
@pytest.mark.parametrize("system", ["win-amd64", "win-arm64"])
def test_a_dll_loads_nothing_but_windows_own(kernel_wheel: Callable[[str], Path], system: str) -> None:
    named = set(DLL.findall(library_of(kernel_wheel(system), system))) - {SYSTEMS[system].library.encode()}
    assert named
    assert all(WINDOWS_OWN.fullmatch(name) for name in named), named


@pytest.mark.long
def test_a_dylib_loads_nothing_but_macos_own(kernel_wheel: Callable[[str], Path]) -> None:
    content = library_of(kernel_wheel("macos-arm64"), "macos-arm64")
    assert dylibs(content, LOAD_DYLIB) == [b"/usr/lib/libSystem.B.dylib"]
    # its own name; the path that it was linked at would make other bytes each time
    assert dylibs(content, ID_DYLIB) == [b"@rpath/libthinkport_kernels.dylib"]


@pytest.mark.long
@pytest.mark.parametrize("system", ["linux-x86_64", "linux-aarch64"])
def test_auditwheel_agrees_with_the_oldest_glibc(kernel_wheel: Callable[[str], Path], system: str) -> None:
    pytest.importorskip("auditwheel", reason="needs the package auditwheel: pip install auditwheel")
    show = [sys.executable, "-m", "auditwheel", "show", str(kernel_wheel(system))]
    done = subprocess.run(show, capture_output=True, text=True, check=True)
    said = " ".join(done.stdout.split())
    assert f'is consistent with the following platform tag: "{SYSTEMS[system].tag}"' in said

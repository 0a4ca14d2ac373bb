"""Compiles the kernels' library for one system, with whichever C++ compiler is at hand."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

SYSTEM = "THINKPORT_KERNELS_SYSTEM"  # the variable that names one of `SYSTEMS`, for a wheel of another system
SOURCES = Path(__file__).parent / "src"
# -ffp-contract=off and no reassociation: one number is computed in one way, whatever the compiler and the CPU.
# -g0: Zig writes debug information otherwise, which takes a third of the time and is stripped in the end.
_FLAGS = ("-std=c++17", "-O3", "-g0", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")
_GCC_FLAGS = ("-fno-tree-reassoc", "-Wno-maybe-uninitialized", "-Wno-uninitialized")  # its own AVX-512 header warns
_AVX512 = ("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni")
# The files of kernel sets by CPU, and the instructions that each may use.
SETS = {
    "x86_64": {
        "set_avx2": ("-mavx2", "-mfma"),
        "set_avx_vnni": ("-mavx2", "-mfma", "-mavxvnni"),
        "set_avx512_vnni": _AVX512,
        "set_amx": (*_AVX512, "-mamx-tile", "-mamx-int8"),
    },
    "aarch64": {
        "set_neon": (),
        "set_neon_dotprod": ("-march=armv8.2-a+dotprod",),
        "set_neon_i8mm": ("-march=armv8.2-a+dotprod+i8mm",),
    },
}
_ZIG_FLAGS = {
    "set_neon_dotprod": ("-mcpu=baseline+dotprod",),
    "set_neon_i8mm": ("-mcpu=baseline+dotprod+i8mm",),
}


@dataclass(frozen=True)
class System:
    """A system to compile for: Zig's name of it with the oldest version, the wheel's tag, and the library's file."""

    cpu: str
    zig: str
    tag: str
    library: str


SYSTEMS = {
    "linux-x86_64": System("x86_64", "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64", "libthinkport_kernels.so"),
    "linux-aarch64": System("aarch64", "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64", "libthinkport_kernels.so"),
    "win-amd64": System("x86_64", "x86_64-windows-gnu", "win_amd64", "thinkport_kernels.dll"),
    "win-arm64": System("aarch64", "aarch64-windows-gnu", "win_arm64", "thinkport_kernels.dll"),
    "macos-arm64": System("aarch64", "aarch64-macos.11.0", "macosx_11_0_arm64", "libthinkport_kernels.dylib"),
}
_CPUS = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def this_system() -> str:
    """This machine's name among `SYSTEMS`.

    Raises:
        SystemExit: it is none of them, or its C library is musl, whose threads have 128 KiB of stack.
    """
    if "musl" in (sysconfig.get_config_var("SOABI") or ""):
        raise SystemExit("no kernels for musl, whose threads have too small a stack: expected a Linux with glibc")
    cpu = _CPUS.get(platform.machine().lower())
    kind = {"linux": "linux", "win32": "win", "darwin": "macos"}.get(sys.platform)
    for name, system in SYSTEMS.items():
        if kind is not None and name.startswith(kind) and system.cpu == cpu:
            return name
    raise SystemExit(f"no kernels for {sys.platform} on {platform.machine()}, expected one of: {', '.join(SYSTEMS)}")


def own_compiler() -> list[str] | None:
    """This system's C++ compiler: what CXX names, or GCC or Clang; None where there is none."""
    named = os.environ.get("CXX", "").split()
    if named:
        return named
    if sys.platform == "win32":  # its own compiler takes other options
        return None
    found = next(filter(None, map(shutil.which, ("g++", "clang++"))), None)
    return [found] if found else None


def compile_library(name: str, folder: Path, compiler: list[str] | None) -> Path:
    """Compile the library for a system of `SYSTEMS` into `folder`; `compiler` None takes Zig's, for any system.

    Raises:
        SystemExit: the compiler fails; its words are printed.
    """
    system = SYSTEMS[name]
    cross = [] if compiler else ["-target", system.zig]
    command = [*(compiler or [sys.executable, "-m", "ziglang", "c++"]), *cross]
    gcc = _GCC_FLAGS if compiler and _is_gcc(compiler) else ()  # Zig, asked for its version, leaves an empty a.o
    flags = [*_FLAGS, *gcc, *([] if name.startswith("win") else ["-fPIC"])]
    of_sets = SETS[system.cpu]
    if not compiler:  # its driver knows CPUs and features, and no versions of an architecture
        of_sets = {name: _ZIG_FLAGS.get(name, flags) for name, flags in of_sets.items()}
    files = [path for path in sorted(SOURCES.glob("*.cpp")) if not path.stem.startswith("set_")]
    files += [SOURCES / "set_scalar.cpp", *(SOURCES / f"{one}.cpp" for one in of_sets)]
    library = folder / system.library
    with TemporaryDirectory() as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = [Path(temporary) / f"{path.stem}.o" for path in files]

        def one(source: Path, made: Path) -> None:
            _run([*command, *flags, *of_sets.get(source.stem, ()), "-c", str(source), "-o", str(made)])

        list(pool.map(one, files, objects))
        own = ["-pthread"] if name.startswith("linux") else []
        if name.startswith("macos"):  # without it a dylib is named by the path that it is linked at
            own = ["-install_name", f"@rpath/{library.name}"]
        _run([*command, "-shared", "-s", *own, "-o", str(library), *map(str, objects)])
    if name.startswith("win"):
        _forget_time(library)
    return library


def _forget_time(library: Path) -> None:
    """Clear the time of linking in a DLL, so that the same sources make the same bytes (Microsoft's PE Format, 3.3)."""
    content = bytearray(library.read_bytes())
    header = int.from_bytes(content[0x3C:0x40], "little")
    content[header + 8 : header + 12] = bytes(4)
    library.write_bytes(content)


def _is_gcc(command: list[str]) -> bool:
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
    return "Free Software Foundation" in said


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")

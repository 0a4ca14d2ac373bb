"""The kernels without ONNX Runtime: under the compilers' sanitizers, and the sets that this CPU lacks, emulated."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.kernels.conftest import SOURCE

from compile_library import SETS, SYSTEMS, own_compiler, this_system

HERE = Path(__file__).parent
SIMDE = Path("/usr/include/simde/x86/avx512.h")
CPU = SYSTEMS[this_system()].cpu

pytestmark = pytest.mark.long


def checked(folder: Path, *flags: str, of_sets: bool = True, run: tuple[str, ...] = ()) -> list[str]:
    """Compile `check.cpp` with the kernels, each set with its instructions, and return what it says of each set."""
    compiler = own_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler is on this machine: install g++ or clang")
    src, program = SOURCE / "src", folder / "check"
    plain = [src / f"{name}.cpp" for name in ("self_test", "packing", "pages", "kernel_sets", "cpu_features")]
    sources: dict[Path, tuple[str, ...]] = dict.fromkeys([HERE / "check.cpp", *plain, src / "set_scalar.cpp"], ())
    sources |= {src / f"{name}.cpp": own if of_sets else () for name, own in SETS[CPU].items()}
    options = ["-std=c++17", "-O1", "-g", "-ffp-contract=off", "-pthread", "-w", f"-I{src}", *flags]
    objects = []
    for source, own in sources.items():
        objects.append(str(folder / f"{source.stem}.o"))
        _run(*compiler, *options, *own, "-c", str(source), "-o", objects[-1])
    _run(*compiler, *options, *objects, "-o", str(program))
    return _run(str(program), *run).splitlines()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_sanitizers_find_nothing(tmp_path: Path, sanitizer: str) -> None:
    said = checked(tmp_path, f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all")
    assert said == [f"{line.split()[0]} right" for line in said]
    assert said[-1] == "scalar right"


@pytest.mark.skipif(CPU != "x86_64", reason="the emulated sets are x86's")
def test_sets_that_this_cpu_lacks_are_right_where_they_are_emulated(tmp_path: Path) -> None:
    if not SIMDE.exists():
        pytest.skip("libsimde-dev is not installed")
    asked = ("amx", "avx512_vnni", "avx_vnni", "avx2")
    said = checked(tmp_path, f"-I{HERE / 'emulated'}", of_sets=False, run=asked)
    assert said == [*(f"{name} right" for name in asked), "scalar right"]

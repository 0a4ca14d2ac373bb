"""What an x86 CPU and its system let kernels use, by their words: CPUID's, XCR0's, and the answer about tiles."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.kernels.conftest import SOURCE

from compile_library import own_compiler

FMA, AVX2, AVX_VNNI = 1 << 12, 1 << 5, 1 << 4
AVX512_F_BW_VL, AVX512_VNNI = 1 << 16 | 1 << 30 | 1 << 31, 1 << 11
TILE, TILE_INT8 = 1 << 24, 1 << 25
YMM, ZMM, TILES = 0x6, 0xE6, 0x60000  # in XCR0
SERVER = (FMA, AVX2 | AVX512_F_BW_VL, AVX512_VNNI, TILE | TILE_INT8, AVX_VNNI)  # Sapphire Rapids'


@pytest.fixture(scope="module")
def cpu_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of that name."""
    compiler = own_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler is on this machine: install g++ or clang")
    program = tmp_path_factory.mktemp("words") / "cpu_words"
    sources = [Path(__file__).parent / "cpu_words.cpp", SOURCE / "src" / "cpu_features.cpp"]
    command = [*compiler, "-std=c++17", f"-I{SOURCE / 'src'}", *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True)
    return program


@pytest.mark.parametrize(
    ("cpu", "saved", "allowed", "expected"),
    [
        (SERVER, ZMM | TILES, True, "avx2 fma avx_vnni avx512_vnni amx asked 1"),
        (SERVER, ZMM | TILES, False, "avx2 fma avx_vnni avx512_vnni asked 1"),
        (SERVER, ZMM, True, "avx2 fma avx_vnni avx512_vnni asked 0"),
        (SERVER, ZMM | 1 << 17, True, "avx2 fma avx_vnni avx512_vnni asked 0"),
        ((*SERVER[:3], TILE, AVX_VNNI), ZMM | TILES, True, "avx2 fma avx_vnni avx512_vnni asked 0"),
        (SERVER, YMM, True, "avx2 fma avx_vnni asked 0"),
        ((FMA, AVX2, 0, 0, AVX_VNNI), ZMM | TILES, True, "avx2 fma avx_vnni asked 0"),
        ((FMA, AVX2 | AVX512_F_BW_VL, 0, 0, 0), ZMM, True, "avx2 fma asked 0"),
        (SERVER, 0x2, True, "asked 0"),
        (SERVER, 0, True, "asked 0"),
        ((0, 0, 0, 0, 0), ZMM | TILES, True, "asked 0"),
    ],
    ids=[
        "all",
        "tiles refused",
        "a system that does not know tiles",
        "a system that saves their shapes alone",
        "tiles without int8",
        "a system that does not know AVX-512",
        "a Core of 2021",
        "AVX-512 without VNNI",
        "a system that does not know AVX",
        "no XGETBV",
        "a CPU that can do nothing",
    ],
)
def test_features_are_those_that_cpu_and_system_have(
    cpu_words: Path, cpu: tuple[int, ...], saved: int, allowed: bool, expected: str
) -> None:
    words = [f"{word:x}" for word in (*cpu, saved, int(allowed))]
    said = subprocess.run([cpu_words, *words], check=True, capture_output=True, text=True).stdout
    assert said.strip() == expected

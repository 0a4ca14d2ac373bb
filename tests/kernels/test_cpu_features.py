"""What an x86 CPU and its system let kernels use, by their words: CPUID's and XCR0's, and the answer about tiles."""

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
    ("cpu", "saved", "expected"),
    [
        (SERVER, ZMM | TILES, "avx2 fma avx_vnni avx512_vnni amx"),
        (SERVER, ZMM, "avx2 fma avx_vnni avx512_vnni"),
        (SERVER, ZMM | 1 << 17, "avx2 fma avx_vnni avx512_vnni"),
        ((*SERVER[:3], TILE, AVX_VNNI), ZMM | TILES, "avx2 fma avx_vnni avx512_vnni"),
        (SERVER, YMM, "avx2 fma avx_vnni"),
        ((FMA, AVX2, 0, 0, AVX_VNNI), ZMM | TILES, "avx2 fma avx_vnni"),
        ((FMA, AVX2 | AVX512_F_BW_VL, 0, 0, 0), ZMM, "avx2 fma"),
        (SERVER, 0x2, ""),
        (SERVER, 0, ""),
        ((0, 0, 0, 0, 0), ZMM | TILES, ""),
    ],
    ids=[
        "all",
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
    cpu_words: Path, cpu: tuple[int, ...], saved: int, expected: str
) -> None:
    words = [f"{word:x}" for word in (*cpu, saved)]
    said = subprocess.run([cpu_words, *words], check=True, capture_output=True, text=True).stdout
    assert said.strip() == expected


@pytest.mark.parametrize(("answer", "of_tiles", "of_auto"), [("given", "tiles", "tiles"), ("refused", "none", "plain")])
def test_the_system_is_asked_only_for_a_set_that_is_to_be_used(
    cpu_words: Path, answer: str, of_tiles: str, of_auto: str
) -> None:
    """Lines are a name that is looked for, the set that is found, and how often the system was asked."""
    said = subprocess.run([cpu_words, answer], check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == ["plain plain 0", f"tiles {of_tiles} 1", "foreign none 0", f"auto {of_auto} 1"]

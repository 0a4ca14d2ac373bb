"""What a CPU can do, read from trees and tables like those that systems have."""

from pathlib import Path

import pytest

from thinkport.runtime.machine.cpu_features import cpu_features

linux = pytest.mark.skipif("sys.platform != 'linux'", reason="reads Linux's /proc/cpuinfo")


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(text, encoding="utf-8")
    return path


@linux
@pytest.mark.parametrize("key", ["flags\t\t", "Features\t"])
def test_the_first_core_s_flags_count_in_any_order(tmp_path: Path, key: str) -> None:
    first = cpu_features(table(tmp_path, f"processor\t: 0\n{key}: fma avx2\n\nprocessor\t: 1\n{key}: other\n"))
    second = cpu_features(table(tmp_path, f"processor\t: 0\n{key}: avx2 fma\n"))
    assert first == second
    assert first.endswith("avx2 fma")


@linux
def test_another_instruction_set_is_another_cpu(tmp_path: Path) -> None:
    assert cpu_features(table(tmp_path, "flags : avx2\n")) != cpu_features(table(tmp_path, "flags : avx2 avx512f\n"))


@linux
def test_a_system_that_tells_nothing_is_known_by_its_architecture(tmp_path: Path) -> None:
    assert cpu_features(tmp_path / "missing") == cpu_features(table(tmp_path, "processor : 0\n")) != ""


def test_this_machine_has_an_answer_that_stays() -> None:
    assert cpu_features() == cpu_features() != ""

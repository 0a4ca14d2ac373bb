"""How many threads a session gets, from trees and records such as systems show."""

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from thinkport.runtime.machine.threads import cores_on_linux, cores_on_windows, physical_cores

CPUS = "sys/devices/system/cpu"
GROUPS = "sys/fs/cgroup"
Tree = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files by path below an otherwise empty root."""

    def write(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="ascii")
        return tmp_path

    return write


def siblings(*lists: str) -> dict[str, str]:
    return {f"{CPUS}/cpu{cpu}/topology/thread_siblings_list": text for cpu, text in enumerate(lists)}


def capacities(*values: int) -> dict[str, str]:
    return {f"{CPUS}/cpu{cpu}/cpu_capacity": str(value) for cpu, value in enumerate(values)}


def test_a_core_counts_once_however_many_threads_it_has(tree: Tree) -> None:
    assert cores_on_linux(tree(siblings("0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7")), range(8)) == 4


def test_only_cpus_that_the_process_may_use_count(tree: Tree) -> None:
    assert cores_on_linux(tree(siblings("0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7")), {0, 4, 5}) == 2


def test_where_the_topology_is_unknown_every_hardware_thread_counts(tree: Tree) -> None:
    assert cores_on_linux(tree({}), range(6)) == 6


def test_a_hybrid_intel_counts_its_performance_cores(tree: Tree) -> None:
    root = tree(siblings("0-1", "0-1", "2-3", "2-3", "4", "5") | {"sys/devices/cpu_core/cpus": "0-3"})
    assert cores_on_linux(root, range(6)) == 2
    assert cores_on_linux(root, {4, 5}) == 2  # bound to the others, these are what there is


def test_small_cores_are_left_out_and_middle_ones_are_not(tree: Tree) -> None:
    assert cores_on_linux(tree(capacities(250, 250, 250, 250, 780, 780, 780, 1024)), range(8)) == 4
    assert cores_on_linux(tree(capacities(250, 250, 250, 250, 780, 780, 780, 1024)), range(4)) == 4


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        pytest.param({"proc/self/cgroup": "0::/", f"{GROUPS}/cpu.max": "200000 100000"}, 2, id="v2, two CPUs"),
        pytest.param({"proc/self/cgroup": "0::/", f"{GROUPS}/cpu.max": "max 100000"}, 8, id="v2, no limit"),
        pytest.param({"proc/self/cgroup": "0::/", f"{GROUPS}/cpu.max": "350000 100000"}, 3, id="v2, whole CPUs only"),
        pytest.param({"proc/self/cgroup": "0::/", f"{GROUPS}/cpu.max": "50000 100000"}, 1, id="v2, half a CPU"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/a/b",
                f"{GROUPS}/a/cpu.max": "100000 50000",
                f"{GROUPS}/a/b/cpu.max": "max 50000",
            },
            2,
            id="v2, the limit of a group around",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../host", f"{GROUPS}/cpu.max": "300000 100000"},
            3,
            id="v2, a path from outside",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:memory:/d\n2:cpu,cpuacct:/d",
                f"{GROUPS}/cpu,cpuacct/d/cpu.cfs_quota_us": "400000",
                f"{GROUPS}/cpu,cpuacct/d/cpu.cfs_period_us": "100000",
            },
            4,
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "2:cpu,cpuacct:/docker/0123",
                f"{GROUPS}/cpu/cpu.cfs_quota_us": "500000",
                f"{GROUPS}/cpu/cpu.cfs_period_us": "100000",
            },
            5,
            id="v1, the host's path in a container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "2:cpu:/",
                f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1",
                f"{GROUPS}/cpu/cpu.cfs_period_us": "100000",
            },
            8,
            id="v1, no limit",
        ),
        pytest.param({"proc/self/cgroup": "0::/", f"{GROUPS}/cpu.max": "nonsense"}, 8, id="nonsense"),
        pytest.param({"proc/self/cgroup": "0::/", f"{GROUPS}/cpu.max": "1600000 100000"}, 8, id="more than there are"),
    ],
)
def test_a_container_s_share_of_time_is_whole_threads(tree: Tree, files: dict[str, str], threads: int) -> None:
    assert cores_on_linux(tree(files), range(8)) == threads


def record(relationship: int, efficiency: int, size: int = 48) -> bytes:
    """A SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX: relationship, size, flags, efficiency class, the rest."""
    return struct.pack("<IIBB", relationship, size, 1, efficiency).ljust(size, b"\0")


@pytest.mark.parametrize(
    ("records", "threads"),
    [
        pytest.param(record(0, 0) * 6, 6, id="all alike"),
        pytest.param(record(0, 1) * 4 + record(0, 0, 80) * 8, 4, id="hybrid"),
        pytest.param(record(3, 9) + record(0, 2) + record(0, 1) + record(0, 2), 2, id="three kinds, and no core"),
        pytest.param(b"", None, id="nothing told"),
    ],
)
def test_windows_counts_the_cores_of_the_fastest_class(records: bytes, threads: int | None) -> None:
    assert cores_on_windows(records) == threads


def test_this_machine_has_an_answer_or_none() -> None:
    cores = physical_cores()
    assert cores is None or cores >= 1

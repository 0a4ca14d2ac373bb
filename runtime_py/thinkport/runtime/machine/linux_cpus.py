"""What Linux reports of the CPUs that a process may use: cores, their kinds, and a container's share of time.

Knows /sys and /proc as kernel documents them (`ABI/stable/sysfs-devices-system-cpu`, `cgroup-v2`); must not know what
the CPUs are for. Every function takes the root of the tree that it reads.
"""

from collections.abc import Callable, Collection
from pathlib import Path

_CPUS = Path("sys/devices/system/cpu")
_INTEL_PERFORMANCE = Path("sys/devices/cpu_core/cpus")  # there on hybrid x86 only
_CGROUPS = Path("sys/fs/cgroup")
_FAST = 0.6  # of the fastest CPU's capacity: keeps the middle cores of phones and drops the small ones (0.15 to 0.5)


def core_of(root: Path, cpu: int) -> str:
    """The name of a hardware thread's core; where nothing is known, each thread counts as a core."""
    return _text(root / _CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list") or str(cpu)


def fast_cpus(root: Path, cpus: Collection[int]) -> set[int]:
    """The performance cores among `cpus`; all of them if they are alike or the system does not say.

    A product is cut into equal parts, one a thread, so a slow core makes the fast ones wait.
    """
    intel = _listed(_text(root / _INTEL_PERFORMANCE))
    if intel.intersection(cpus):
        return intel.intersection(cpus)
    capacities = {cpu: _number(_text(root / _CPUS / f"cpu{cpu}" / "cpu_capacity")) for cpu in cpus}
    told = [capacity for capacity in capacities.values() if capacity]
    if not told:
        return set(cpus)
    return {cpu for cpu, capacity in capacities.items() if capacity is None or capacity >= _FAST * max(told)}


def cpu_quota(root: Path) -> float | None:
    """How many CPUs' time the process's control group and those around it allow; None for no limit."""
    quotas: list[float] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            quotas += _quotas(root / _CGROUPS, path, _version_2)
        elif "cpu" in controllers.split(","):
            for mount in (controllers, "cpu"):
                quotas += _quotas(root / _CGROUPS / mount, path, _version_1)
    return min(quotas, default=None)


def _quotas(mount: Path, path: str, read: Callable[[Path], float | None]) -> list[float]:
    """The limits of a group and of those that hold it; in a container the path may be the host's, and not exist."""
    parts = Path(path.strip("/")).parts
    if ".." in parts:  # the group is outside of what this namespace sees
        parts = ()
    found = (read(mount.joinpath(*parts[:depth])) for depth in range(len(parts) + 1))
    return [quota for quota in found if quota]


def _version_2(group: Path) -> float | None:
    quota, _, period = _text(group / "cpu.max").partition(" ")
    return _share(_number(quota), _number(period))


def _version_1(group: Path) -> float | None:
    return _share(_number(_text(group / "cpu.cfs_quota_us")), _number(_text(group / "cpu.cfs_period_us")))


def _share(quota: int | None, period: int | None) -> float | None:
    """Version 1 writes −1 and version 2 `max` where there is no limit."""
    return quota / period if quota and period and quota > 0 else None


def _listed(text: str) -> set[int]:
    """The numbers of a list such as `0-3,8`."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""

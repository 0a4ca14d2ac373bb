"""How many threads a session gets: the physical cores that this process may use."""

import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")


def physical_cores(topology: Path = _TOPOLOGY) -> int | None:
    """Physical cores within the process's affinity; None where the system does not tell (ONNX Runtime then counts)."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    return len({_core(topology, cpu) for cpu in os.sched_getaffinity(0)})


def _core(topology: Path, cpu: int) -> str:
    """A name shared by the hardware threads of one core; each thread is its own core where nothing is known."""
    siblings = topology / f"cpu{cpu}" / "topology" / "thread_siblings_list"
    try:
        return siblings.read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)

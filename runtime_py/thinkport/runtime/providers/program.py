"""How this program starts itself once more, for a part of its work that may crash or hang."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TRIAL_VERB = "try-graphs"  # of the command line; for programs alone, so that no help lists it


def program() -> list[str] | None:
    """The command that starts this program's verbs once more; None within another program, which it would start."""
    if getattr(sys, "frozen", False):
        return [sys.executable] if "thinkport.runtime.cli.main" in sys.modules else None
    python = Path(sys.executable or "").stem.startswith(("python", "pypy"))
    return [sys.executable, "-m", "thinkport.runtime"] if python else None


def begin(command: Sequence[str], *, heard: bool = False) -> subprocess.Popen[str]:
    """A process without a window that an interrupt of this one's terminal does not reach."""
    said = subprocess.PIPE if heard else subprocess.DEVNULL
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True, creationflags=flags
        )
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True, start_new_session=True
    )

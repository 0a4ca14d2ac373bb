"""How this program starts itself once more, for a part of its work that may crash or hang, and hears of it."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PYTHON = re.compile(r"(python|pypy)[\d.]*[wtd]*(-32|-64|-intel64)?(\.exe)?", re.IGNORECASE)  # its file's name
TRIAL_VERB = "try-graphs"  # of the command line; for programs alone, so that no help lists it
_LAST_WORDS = 300  # characters of what a process said as it ended
_LEAST = 1.0  # seconds for a process that was killed to be gone


class Told(NamedTuple):
    """What a process printed, and why that can't be all, in words; None where it ended well."""

    out: str
    fault: str | None = None


def program() -> list[str] | None:
    """The command that starts this program's verbs once more; None within another program, which it would start."""
    if getattr(sys, "frozen", False):
        return [sys.executable] if "thinkport.runtime.cli.main" in sys.modules else None
    name = Path(sys.executable or "").name
    # -P: a file in the working folder is no module of this program, and mustn't become one of the other.
    return [sys.executable, "-P", "-m", "thinkport.runtime"] if _PYTHON.fullmatch(name) else None


def begin(command: Sequence[str], *, heard: bool = False) -> "subprocess.Popen[str]":
    """A process without a window that an interrupt of this one's terminal does not reach.

    It finds modules where this one does, which may be more places than its Python knows. What it writes is read as
    UTF-8, whatever a driver adds to it.

    Raises:
        OSError: the system starts no process.
    """
    said = subprocess.PIPE if heard else subprocess.DEVNULL
    flags, alone = 0, True
    if sys.platform == "win32":
        flags, alone = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP, False
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        creationflags=flags,
        start_new_session=alone,
    )


def told(command: Sequence[str], seconds: float) -> Told:
    """Run a process to its end, or to its time's, and hear what it prints. It ends with whoever waits for it."""
    try:
        process = begin(command, heard=True)
    except OSError as error:
        return Told("", f"no process can be started for it: {error}")
    try:
        out, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # a call into a driver may not be interruptible
            process.communicate(timeout=_LEAST)
        return Told("", f"it did not end in {seconds:.0f} seconds")
    finally:
        process.kill()  # where the user stopped this one; nothing where it is over
    if not process.returncode:
        return Told(out)
    words = " ".join(said.replace("\0", "").split())[-_LAST_WORDS:] or "no word"  # some libraries write UTF-16
    return Told(out, f"its process ended with {process.returncode}: {words}")

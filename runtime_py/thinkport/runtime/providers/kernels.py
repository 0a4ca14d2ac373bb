"""thinkport's own kernels for the CPU provider: the package `thinkport-kernels`, if it is there and works here.

A library that is new to this machine is loaded in another process first, which it may take down, and so is each kernel
set until one is right; what became of that is remembered. Knows the package and how ONNX Runtime takes its library.
Must not know graphs.
"""

import ctypes
import json
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from thinkport.runtime.errors import InputError
from thinkport.runtime.machine.cpu_features import cpu_features
from thinkport.runtime.providers.program import TRIAL_VERB, begin, program
from thinkport.runtime.providers.verdicts import VerdictKey, Verdicts

AUTO, OFF = "auto", "off"
OPERATORS = 2
"""The version of the package's operators that graphs are written for."""
PACKAGE = "thinkport-kernels"
TRIAL = "--kernels"  # of the verb for trials: print what is wrong with a library, or with one of its kernel sets

_PLACE = "runtime_py/kernels"  # of the package's source, in a clone
_INSTALL = f"pip install ./{_PLACE} from a clone of thinkport"
_SECONDS = 60.0  # in which the trial ends; it takes 0.3 s, of which Python's start is most


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """The kernels as one process may use them.

    `asked` is `auto`, the best kernel set that this CPU runs and that is right; a set's name; or `off`. `library` is
    the package's file, None where the package is not installed; `operators` is the version of its operators.
    """

    asked: str = AUTO
    library: Path | None = None
    operators: int = 0
    verdicts: Verdicts = field(default_factory=Verdicts)
    command: Sequence[str] | None = None
    begin: Callable[..., "subprocess.Popen[str]"] = begin

    @classmethod
    def here(cls, asked: str = AUTO) -> Self:
        """Those that are installed.

        Raises:
            InputError: `asked` is a set that is not there or does not run on this CPU.
        """
        try:
            package = import_module("thinkport_kernels")
        except ModuleNotFoundError:
            found = cls(asked=asked)
        else:
            found = cls(asked=asked, library=package.LIBRARY, operators=package.OPERATORS, command=program())
        if asked not in (AUTO, OFF) and (found.obstacle or asked not in found.sets):
            sets = found.obstacle or f"this CPU runs {', '.join(found.sets)}"
            raise InputError(f"kernels {asked!r} can't be had here: {sets}; {OFF} takes ONNX Runtime's own")
        return found

    @cached_property
    def obstacle(self) -> str | None:
        """Why graphs of these kernels can't run here, None where they can."""
        if self.asked == OFF:
            return "needs thinkport's kernels, which were switched off"
        if self.library is None:
            return f"needs the package {PACKAGE}: {_INSTALL}"
        if self.operators != OPERATORS:
            return f"needs {PACKAGE} with operators {OPERATORS}, and {self.operators} are installed: {_INSTALL}"
        if not self.library.is_file():
            return f"needs the library of {PACKAGE}, and {self.library} is missing: {_INSTALL} once more"
        wrong = self._tried() or self._chosen[1]
        return wrong and f"needs {PACKAGE}, and as found on this machine, {wrong}; `thinkport doctor` tries it again"

    @property
    def useless(self) -> bool:
        """Whether the package is installed and wanted, and can't run: worth saying where nobody asked."""
        return self.library is not None and self.asked != OFF and self.obstacle is not None

    @property
    def name(self) -> str:
        """The kernel set that runs; only where there is no obstacle."""
        return self._chosen[0]

    def __str__(self) -> str:
        return f"{PACKAGE} {self._content[:12]} {self.name}"

    @cached_property
    def sets(self) -> tuple[str, ...]:
        """The kernel sets that run on this CPU, best first; only where there is no obstacle."""
        assert self.library is not None, "whoever asks looked for an obstacle"
        return kernel_sets(self.library)

    def register(self, settings: Any, threads: int) -> None:
        """Let a session of so many threads run graphs of these kernels; `settings` are its SessionOptions."""
        settings.add_session_config_entry("thinkport.kernels", self.name)
        settings.add_session_config_entry("thinkport.threads", str(threads))
        settings.register_custom_ops_library(str(self.library))

    def forget(self) -> None:
        """Let the library be tried anew, once it is asked for."""
        if self.library is None or not self.library.is_file():
            return
        if self.verdicts.read(self._key()).right:
            for name in kernel_sets(self.library):
                self.verdicts.forget(self._key(name))
        self.verdicts.forget(self._key())

    @cached_property
    def _content(self) -> str:
        """The library's sha256."""
        assert self.library is not None, "whoever asks looked for an obstacle"
        return sha256(self.library.read_bytes()).hexdigest()

    @cached_property
    def _chosen(self) -> tuple[str, str | None]:
        """The first kernel set that is right, and None; where none is, what is wrong with them."""
        faults = []
        vectors = (
            self.sets[:-1] or self.sets
        )  # the last is scalar: slower than ONNX Runtime's own where there are others
        for name in vectors if self.asked == AUTO else (self.asked,):
            fault = self._tried(name) if name in self.sets else None  # a set that is not there is refused by its name
            if fault is None:
                return name, None
            faults.append(fault)
        return "", "; ".join(faults)

    def _key(self, name: str = "*") -> VerdictKey:
        return VerdictKey(
            artifact=self._content,
            graph=name,
            provider=PACKAGE,
            package=PACKAGE,
            devices=(cpu_features(),),
            thinkport=version("thinkport"),
        )

    def _tried(self, name: str = "*") -> str | None:
        """What is wrong here with the library, or with one of its kernel sets, None where nothing is: by what is known,
        or by a trial.
        """
        key = self._key(name)
        known = self.verdicts.read(key)
        if not known.right and known.wrong is None:
            known = known.begun()
            self.verdicts.write(key, known)  # where no process can be begun, this one may be taken down
            known = known.ended(self._trial(*(() if name == "*" else (name,))))
            self.verdicts.write(key, known)
        return known.wrong

    def _trial(self, *name: str) -> str | None:
        assert self.library is not None
        if self.command is None:
            return kernel_fault(self.library, *name)
        try:
            process = self.begin([*self.command, TRIAL_VERB, TRIAL, str(self.library), *name], heard=True)
        except OSError:  # an emulated Python is no program to the system
            return kernel_fault(self.library, *name)
        try:
            out, said = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return f"{_trial_of(*name)} did not end in {_SECONDS:.0f} seconds"
        if process.returncode:
            words = " ".join(said.split())[-300:]
            return f"{_trial_of(*name)} {_end(process.returncode)}{': ' if words else ''}{words}"
        fault: str | None = json.loads(out.splitlines()[-1])
        return fault


def _trial_of(name: str = "") -> str:
    return f"the trial of its kernel set {name}" if name else "its trial"


def _end(code: int) -> str:
    """How a process ended, by its exit code; POSIX has a signal's number below zero."""
    with suppress(ValueError):
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with {code}"


def kernel_sets(library: Path) -> tuple[str, ...]:
    """The kernel sets of a library that run on this CPU, best first."""
    ask = ctypes.CDLL(str(library)).thinkport_kernel_set
    ask.restype, ask.argtypes = ctypes.c_char_p, [ctypes.c_size_t]
    found: list[str] = []
    while name := ask(len(found)):
        found.append(name.decode())
    return tuple(found)


def kernel_fault(library: Path, name: str | None = None) -> str | None:
    """What is wrong with a library on this CPU, that it can't be loaded; or with one of its kernel sets, that it
    computes otherwise than the scalar one, or that the system refuses what it needs.

    A library or a set that this CPU can't run may end the process.
    """
    try:
        agrees = ctypes.CDLL(str(library)).thinkport_kernel_agrees
        sets = kernel_sets(library)
    except (OSError, AttributeError) as error:
        return f"it can't be loaded: {error}"
    agrees.restype, agrees.argtypes = ctypes.c_int, [ctypes.c_char_p]
    if name is None:
        return None if sets else "none of its kernel sets runs"
    found = agrees(name.encode())
    if found < 0:
        return f"its kernel set {name} can't run: the CPU lacks it, or the system refuses what it needs"
    return None if found else f"its kernel set {name} computes wrongly"

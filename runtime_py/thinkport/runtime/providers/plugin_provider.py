"""One provider that comes as a plugin beside ONNX Runtime: its package, and the versions that fit one another.

Must not know its devices, or what an artifact asks for.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from threading import RLock
from typing import Any

from packaging.version import InvalidVersion, Version

from thinkport.runtime.extras import install_line, uninstall_line

PLAIN_BUILD = "onnxruntime"


@dataclass(frozen=True, kw_only=True)
class PluginProvider:
    """One plugin. `tested` are versions of the plugin and of ONNX Runtime that were run together.

    `no_device` says what to do where it lists none. `turn`: its devices share one context that takes calls of one
    thread at a time. Measured with 0.4.0: a copy in one thread beside a run in another ends the process, whichever
    sessions they belong to.
    """

    provider: str
    distribution: str
    module: str
    extra: str
    tested: tuple[tuple[str, str], ...]
    no_device: str
    turn: AbstractContextManager[Any] = field(default_factory=RLock, compare=False, repr=False)

    @property
    def version(self) -> str | None:
        """The version that is installed, None where it is not."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return None

    def lacks(self, onnxruntime: str, build: str = PLAIN_BUILD) -> str | None:
        """What must be installed before the library may be loaded into this ONNX Runtime, in words; None if nothing.

        A wrong pair can end the process unseen (onnxruntime's issue 32855): plugin and core hold schemas of operators
        that must be alike. Those change with minor versions; a patch release is built from the same branch and mends
        what is there, so that newer patches than the tested ones are taken and everything else is refused.
        """
        if self.version is None:
            return f"needs {self.distribution}, which is not installed: {install_line(self.extra)}"
        if any(_as_tested(self.version, ours) and _as_tested(onnxruntime, core) for ours, core in self.tested):
            return None
        pairs = " or ".join(f"{ours} with {core}" for ours, core in self.tested)
        first = "" if build == PLAIN_BUILD else f"{uninstall_line(build)}, then "
        return (
            f"can't use {self.distribution} {self.version} with {build} {onnxruntime}: an untested pair can crash, "
            f"expected {pairs}, or newer patches of both: {first}{install_line(self.extra)}"
        )


def _as_tested(found: str, tested: str) -> bool:
    """Whether a version is the tested one, or a newer patch of it; a nightly build of a release counts as one."""
    try:
        ours, theirs = Version(Version(found).base_version), Version(tested)
    except InvalidVersion:  # of a package that someone built
        return False
    return ours.release[:2] == theirs.release[:2] and ours >= theirs

"""Which build of ONNX Runtime is installed, and whether another one lies beneath it.

ONNX Runtime comes as several distributions that write into one folder, `onnxruntime`; the last to be installed wins
and pip tells nobody. Knows distributions; must not know what a build is good for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from types import ModuleType

_FOLDER = "onnxruntime"


@dataclass(frozen=True, kw_only=True)
class OrtBuild:
    """The build that is imported: its distribution, its version and the providers it was built with, best first."""

    package: str
    version: str
    providers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


def build_of(ort: ModuleType) -> OrtBuild:
    """The build of the imported module, by the name that its own files give."""
    package = getattr(ort, "package_name", "") or _FOLDER
    return OrtBuild(package=package, version=ort.__version__, providers=tuple(ort.get_available_providers()))


def installed_builds() -> dict[str, str]:
    """Every installed distribution that writes into ONNX Runtime's folder: name to version. Takes some milliseconds."""
    found = {}
    for one in distributions():
        name = one.metadata["Name"] or ""
        if name.startswith(_FOLDER) and any(file.parts[0] == _FOLDER for file in one.files or ()):
            found[name] = one.version
    return found


def clash_of(builds: Mapping[str, str]) -> str:
    """What to do about several builds in one folder, in words; nothing where there is one or none."""
    if len(builds) < 2:
        return ""
    names = " and ".join(f"{name} {version}" for name, version in sorted(builds.items()))
    return f"{names} are installed over one another, which leaves a mixture: pip uninstall {' '.join(sorted(builds))}"

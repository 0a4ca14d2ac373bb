"""A wheel file, and a complete and consistent set of wheels for a target.

pip resolves for another platform but with the markers of its own, so what is required is read from the wheels here. A
version that somebody refuses is fetched again within what all accept; there is no going back to older versions of
those who refuse, and a contradiction is an error.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from thinkport.runtime.errors import ThinkportError

LEGAL = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS|ThirdPartyNotices)", re.IGNORECASE)
ROUNDS = 30
Fetch = Callable[[Sequence[str], Path], None]


class BundleError(ThinkportError):
    """A wheel that can't be had, or requirements that contradict one another."""


@dataclass(frozen=True)
class Wheel:
    """One wheel on the disk."""

    path: Path

    @property
    def name(self) -> str:
        """The normalized name."""
        return str(parse_wheel_filename(self.path.name)[0])

    @property
    def version(self) -> Version:
        """The version of the file's name."""
        return parse_wheel_filename(self.path.name)[1]

    @cached_property
    def metadata(self) -> Message:
        """The headers of METADATA.

        Raises:
            BundleError: the file is no wheel.
        """
        try:
            with ZipFile(self.path) as file:
                name = next(name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
                return BytesParser().parsebytes(file.read(name), headersonly=True)
        except (BadZipFile, StopIteration) as error:
            raise BundleError(f"{self.path} is no wheel: take it away and fetch it again") from error

    @property
    def requirements(self) -> list[Requirement]:
        """Everything that it may require, markers included."""
        return [Requirement(line) for line in self.metadata.get_all("Requires-Dist") or ()]

    @property
    def licence(self) -> str | None:
        """What METADATA calls its licence, in a line; None where it says nothing."""
        named = self.metadata["License-Expression"] or self.metadata["License"]
        if named and "\n" not in named.strip():
            return str(named).strip()
        classifiers = [line for line in self.metadata.get_all("Classifier") or () if line.startswith("License ::")]
        return classifiers[0].rpartition(":: ")[2] if classifiers else None

    def legal_files(self) -> dict[str, bytes]:
        """Texts of licences and notices by a path of their own."""
        with ZipFile(self.path) as file:
            names = [name for name in file.namelist() if LEGAL.match(PurePosixPath(name).name) and _is_text(name)]
            return {f"{self.name}-{self.version}/{name}": file.read(name) for name in names}


def wheels_in(folder: Path) -> dict[str, Wheel]:
    """The wheels of a folder by their normalized names."""
    return {wheel.name: wheel for wheel in map(Wheel, sorted(folder.glob("*.whl")))}


def _is_text(name: str) -> bool:
    return not name.endswith("/") and PurePosixPath(name).suffix not in {".py", ".pyi", ".pyc", ".h", ".c"}


@dataclass
class Wanted:
    """One project: the versions that all who require it agree on, and the extras that they ask for."""

    versions: SpecifierSet = field(default_factory=SpecifierSet)
    extras: set[str] = field(default_factory=set)


def complete(
    roots: Sequence[Requirement], folder: Path, environment: Mapping[str, str], fetch: Fetch
) -> dict[str, Wheel]:
    """Fetch into a folder, which may hold wheels already, all that the roots need; returns those needed, by name.

    Raises:
        BundleError: a wheel can't be had, or requirements contradict one another.
    """
    for _ in range(ROUNDS):
        wheels = wheels_in(folder)
        wanted = requirements_of(roots, wheels, environment)
        missing = unmet(wanted, wheels)
        if not missing:
            return {name: wheels[name] for name in sorted(wanted)}
        with TemporaryDirectory(dir=folder) as new:
            fetch([f"{name}{one.versions}" for name, one in sorted(missing.items())], Path(new))
            for name, wheel in wheels_in(Path(new)).items():
                if name in wheels:
                    wheels[name].path.unlink()
                wheel.path.rename(folder / wheel.path.name)
    raise BundleError(f"the requirements of {', '.join(missing)} did not settle in {ROUNDS} rounds: pin one of them")


def requirements_of(
    roots: Iterable[Requirement], wheels: Mapping[str, Wheel], environment: Mapping[str, str]
) -> dict[str, Wanted]:
    """Everything that the roots need, as far as the wheels tell; a project without a wheel leads no further."""
    wanted: dict[str, Wanted] = {}
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        one = todo.pop()
        name = str(canonicalize_name(one.name))
        entry = wanted.setdefault(name, Wanted())
        entry.versions &= one.specifier
        entry.extras |= one.extras
        for extra in ("", *one.extras):
            if (key := f"{name}[{extra}]") not in seen and name in wheels:
                seen.add(key)
                todo += _asked(wheels[name], extra, environment)
    return wanted


def unmet(wanted: Mapping[str, Wanted], wheels: Mapping[str, Wheel]) -> dict[str, Wanted]:
    """The projects whose wheel is missing or of a version that somebody refuses."""
    return {
        name: one
        for name, one in wanted.items()
        if name not in wheels or not one.versions.contains(wheels[name].version, prereleases=True)
    }


def _asked(wheel: Wheel, extra: str, environment: Mapping[str, str]) -> list[Requirement]:
    values = {**environment, "extra": extra}
    return [
        one
        for one in wheel.requirements
        if (one.marker is None and not extra) or (one.marker is not None and one.marker.evaluate(values))
    ]

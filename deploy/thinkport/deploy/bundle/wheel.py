"""A wheel file, where wheels come from, and a complete and consistent set of them for a target.

pip resolves for another platform but with the markers of its own, so what is required is read from the wheels here. A
version that somebody refuses is fetched again within what all accept; there is no going back to older versions of
those who refuse, and a contradiction is an error. thinkport's own wheel is built, with fixed times and modes.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from functools import cached_property
from importlib.metadata import distribution
from importlib.util import find_spec
from io import StringIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname
from zipfile import BadZipFile, ZipFile

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from thinkport.deploy.bundle.platform import Platform
from thinkport.runtime.errors import MissingExtraError, ThinkportError
from thinkport.runtime.extras import install_source, require

LEGAL = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS|ThirdPartyNotices)", re.IGNORECASE)
ROUNDS = 30
Fetch = Callable[[Sequence[str], Path], None]


@dataclass(frozen=True, kw_only=True)
class WheelSource:
    """Where wheels for a platform and Python come from; `folder` alone is asked if there is one."""

    platform: Platform
    python: str
    folder: Path | None = None

    def fetch(self, requirements: Sequence[str], into: Path) -> None:
        """Put the best wheel of each requirement into a folder, without what they require.

        Raises:
            BundleError: one can't be had as a wheel for this platform and Python, or the index can't be reached.
            MissingExtraError: this Python has no pip.
        """
        if find_spec("pip") is None:
            raise MissingExtraError("this Python has no pip, which fetches wheels: run python -m ensurepip")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--only-binary", ":all:", "--python-version", self.python, "--dest", str(into)]
        command += [f"--platform={tag}" for tag in self.platform.tags]
        command += [] if self.folder is None else ["--no-index", "--find-links", str(self.folder)]
        done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            why = errors[-1].removeprefix("ERROR: ") if errors else done.stderr.strip()[-400:]
            raise BundleError(
                f"no complete set of wheels for {self.platform.name} and Python {self.python}: {why}; try another "
                "--python, or put a wheel of it into a folder for --wheels"
            )


def put_own_wheel(into: Path, given: Path | None) -> None:
    """Put the wheel of the thinkport that runs into a folder: from a folder of wheels, or built from sources.

    Raises:
        BundleError: neither is at hand.
        MissingExtraError: sources are, but hatchling isn't.
    """
    version = distribution("thinkport").version
    found = wheels_in(given).get("thinkport") if given else None
    if found is not None and str(found.version) == version:
        (into / found.path.name).write_bytes(found.path.read_bytes())
        return
    origin = install_source()
    if not origin.get("dir_info", {}).get("editable"):
        raise BundleError(
            f"thinkport {version} was not installed from sources, so that its own wheel is not at hand: put it into a "
            "folder with the other wheels and give that with --wheels"
        )
    require("dev", "hatchling")
    from hatchling.builders.wheel import WheelBuilder

    builder = WheelBuilder(url2pathname(urlsplit(origin["url"]).path))
    try:
        with redirect_stdout(StringIO()):
            list(builder.build(directory=str(into), versions=["standard"]))
    except RuntimeError as error:  # the chat page can't be built
        raise BundleError(f"thinkport's own wheel can't be built: {error}") from error


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

"""A wheel file: its name and version, what it requires, and the licences that it carries."""

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from functools import cached_property
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from thinkport.runtime.errors import ThinkportError

LEGAL = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS|ThirdPartyNotices)", re.IGNORECASE)


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

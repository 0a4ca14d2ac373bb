"""Fetches wheels for another system with pip, from its index or from a folder."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from thinkport.deploy.bundle.error import BundleError
from thinkport.deploy.bundle.platform import Platform
from thinkport.runtime.errors import MissingExtraError


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
        done = subprocess.run(self._command(requirements, into), capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            why = errors[-1].removeprefix("ERROR: ") if errors else done.stderr.strip()[-400:]
            raise BundleError(
                f"no complete set of wheels for {self.platform.name} and Python {self.python}: {why}; try another "
                "--python, or put a wheel of it into a folder for --wheels"
            )

    def _command(self, requirements: Sequence[str], into: Path) -> list[str]:
        tags = [f"--platform={tag}" for tag in self.platform.tags]
        place = [] if self.folder is None else ["--no-index", "--find-links", str(self.folder)]
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        wheels = ["--no-deps", "--only-binary", ":all:", "--python-version", self.python]
        pip = [sys.executable, "-m", "pip", "download"]
        return [*pip, *quiet, *wheels, *tags, *place, "--dest", str(into), *requirements]

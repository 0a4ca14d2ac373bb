"""Where wheels come from: pip fetches them for another system, from its index or a folder; thinkport's own is built.

Knows pip, where an editable install comes from, and hatchling, which fixes times and modes in what it builds.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from thinkport.deploy.bundle.platform import Platform
from thinkport.deploy.bundle.wheel import BundleError, wheels_in
from thinkport.runtime.errors import MissingExtraError
from thinkport.runtime.extras import install_source, require


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

    with redirect_stdout(StringIO()):
        list(WheelBuilder(url2pathname(urlsplit(origin["url"]).path)).build(directory=str(into), versions=["standard"]))

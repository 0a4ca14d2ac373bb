"""thinkport's own wheel: built from the sources of an editable install, with the same bytes each time.

Knows where an editable install comes from, and hatchling, which fixes times and modes in what it builds.
"""

from contextlib import redirect_stdout
from importlib.metadata import distribution
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from thinkport.deploy.bundle.error import BundleError
from thinkport.deploy.bundle.wheel import wheels_in
from thinkport.runtime.extras import install_source, require


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
    sources = editable_sources()
    if sources is None:
        raise BundleError(
            f"thinkport {version} was not installed from sources, so that its own wheel is not at hand: put it into a "
            "folder with the other wheels and give that with --wheels"
        )
    require("dev", "hatchling")
    from hatchling.builders.wheel import WheelBuilder

    with redirect_stdout(StringIO()):
        list(WheelBuilder(str(sources)).build(directory=str(into), versions=["standard"]))


def editable_sources() -> Path | None:
    """The folder that an editable install of thinkport points to, or None."""
    origin = install_source()
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path))

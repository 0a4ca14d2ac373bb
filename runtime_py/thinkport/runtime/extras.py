"""What to install when packages of an extra are missing. Knows the extras' names; imports none of their packages."""

import json
from importlib.metadata import PackageNotFoundError, distribution, requires
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from thinkport.runtime.errors import MissingExtraError

# `[export]` needs an ONNX Runtime too; of the extras that bring one, this is the one that installs everywhere.
INSTALLED_WITH = {"export": "export,cpu"}
TORCH_FIRST = (
    " (on Linux this brings gigabytes of CUDA with torch; to avoid them, first install torch==2.13.0 from PyTorch's "
    "CPU index, see its install page)"
)


def install_line(extra: str) -> str:
    """The pip command that installs an extra, from where thinkport was installed: a clone, a wheel or an index."""
    extras = INSTALLED_WITH.get(extra, extra)
    source = install_source()
    if not source:
        return f'pip install "thinkport[{extras}]"'
    if vcs := source.get("vcs_info"):
        return f'pip install "thinkport[{extras}] @ {vcs["vcs"]}+{source["url"]}@{vcs["commit_id"]}"'
    if not source["url"].startswith("file:"):
        return f'pip install "thinkport[{extras}] @ {source["url"]}"'
    editable = "-e " if source.get("dir_info", {}).get("editable") else ""
    return f'pip install {editable}"{url2pathname(urlsplit(source["url"]).path)}[{extras}]"'


def uninstall_line(*packages: str) -> str:
    """The pip command that takes packages away without asking."""
    return f"pip uninstall -y {' '.join(sorted(packages))}"


def installs_here(extra: str) -> bool:
    """Whether an extra brings a package on this system; true where nothing is recorded of the extra."""
    from packaging.requirements import Requirement  # 20 ms, which a load would take for nothing

    try:
        needed = [Requirement(line).marker for line in requires("thinkport") or ()]
    except PackageNotFoundError:
        return True
    own = [marker for marker in needed if marker is not None and f'extra == "{extra}"' in str(marker)]
    return not own or any(marker.evaluate({"extra": extra}) for marker in own)


def install_source() -> dict[str, Any]:
    """What pip recorded in `direct_url.json` (PEP 610) of where thinkport came from; empty if that was an index."""
    try:
        record = distribution("thinkport").read_text("direct_url.json")
    except PackageNotFoundError:
        record = None
    return dict(json.loads(record or "{}"))


def require(extra: str, *modules: str) -> None:
    """Check that an extra's top-level modules can be found, without importing them.

    Raises:
        MissingExtraError: with the modules that are missing and the install line.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        hint = TORCH_FIRST if "torch" in missing else ""
        raise MissingExtraError(f"{', '.join(missing)} not installed: run {install_line(extra)}{hint}")

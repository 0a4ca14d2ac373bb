"""The wheel of thinkport's own kernels for a platform: the right one of a folder, or one that Zig compiles here.

Knows the package's file names and where its sources lie in a clone. Must not know what the kernels compute.
"""

import ast
import subprocess
import sys
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from thinkport.deploy.bundle.platform import Platform
from thinkport.deploy.bundle.wheel import BundleError, Wheel
from thinkport.runtime.extras import install_source, require
from thinkport.runtime.providers.kernels import PACKAGE

BUILD: Literal["build"] = "build"
_MODULE = PACKAGE.replace("-", "_")
_BUILDER = Path("runtime_py", "kernels", "build_wheels.py")
_LIBRARIES = {".so", ".dll", ".dylib"}


def put_kernel_wheel(
    into: Path, platform: Platform, source: Path | Literal["build"], operators: frozenset[int]
) -> Requirement:
    """Put the wheel for a platform into a folder, and return what requires it.

    `source` is a folder of wheels, or `build`. `operators` are the versions of the operators that graphs are made of.

    Raises:
        BundleError: no wheel for the platform is at hand, or its operators are of another version.
        MissingExtraError: it is to be built, and Zig's package isn't here.
    """
    if isinstance(source, Path):
        found = _best(source, platform, operators)
    else:
        with TemporaryDirectory() as built:
            _build(Path(built), platform)
            return put_kernel_wheel(into, platform, Path(built), operators)
    (into / found.path.name).write_bytes(found.path.read_bytes())
    return Requirement(f"{PACKAGE}=={found.version}")


def _best(folder: Path, platform: Platform, operators: frozenset[int]) -> Wheel:
    """The newest wheel for a platform whose operators fit."""
    how = f"make one in a clone of thinkport: {_command(platform)}"
    there = sorted(folder.glob(f"{_MODULE}-*.whl"))
    wheels = [Wheel(path) for path in there if _is_for(path, platform)]
    if not wheels:
        names = ", ".join(path.name for path in there) or "none"
        raise BundleError(f"no wheel of {PACKAGE} for {platform.name} in {folder}, found {names}: {how}")
    versions = {wheel: operators_of(wheel) for wheel in wheels}
    fitting = [wheel for wheel, own in versions.items() if operators <= {own}]
    if not fitting:
        wanted, own = (", ".join(map(str, sorted(numbers))) for numbers in (operators, set(versions.values())))
        raise BundleError(
            f"the artifact's graphs need operators {wanted} of {PACKAGE}, {wheels[-1].path} has {own}: {how}"
        )
    return max(fitting, key=lambda wheel: wheel.version)


def _is_for(path: Path, platform: Platform) -> bool:
    try:
        tags = parse_wheel_filename(path.name)[3]
    except InvalidWheelFilename:
        return False
    return any(tag.platform in platform.tags for tag in tags)


def operators_of(wheel: Wheel) -> int:
    """The version of the operators of a wheel of kernels, which is read and not run.

    Raises:
        BundleError: it holds no library, or says nothing of its operators.
    """
    wheel.metadata  # noqa: B018 - raises where the file is no wheel
    with ZipFile(wheel.path) as file:
        names = [name for name in file.namelist() if name.startswith(f"{_MODULE}/")]
        text = file.read(f"{_MODULE}/__init__.py") if f"{_MODULE}/__init__.py" in names else b""
    if any(PurePosixPath(name).suffix in _LIBRARIES for name in names):
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "OPERATORS":
                return int(ast.literal_eval(node.value))
    raise BundleError(f"{wheel.path} holds no library of kernels: take it away and build it again")


def _command(platform: Platform) -> str:
    return f"python {_BUILDER.as_posix()} --output DIR {platform.name}"


def _build(into: Path, platform: Platform) -> None:
    origin = install_source()
    builder = Path(url2pathname(urlsplit(origin.get("url", "")).path)) / _BUILDER
    if not origin.get("dir_info", {}).get("editable") or not builder.is_file():
        raise BundleError(
            f"the sources of {PACKAGE} are not at hand, since thinkport was not installed from a clone: build its "
            f"wheel in one, by {_command(platform)}, and give --kernels DIR"
        )
    require("zig", "hatchling", "ziglang")
    command = [sys.executable, str(builder), "--output", str(into), platform.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())[-600:]
        raise BundleError(f"the kernels for {platform.name} could not be compiled: {said}")

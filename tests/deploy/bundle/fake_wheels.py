"""Wheels with a name, a version and requirements, and nothing to run."""

import tomllib
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Tags as the packages have them.
_ELSEWHERE = ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "win_amd64", "win_arm64")
NATIVE = {
    "onnxruntime": tuple(f"cp312-cp312-{system}" for system in (*_ELSEWHERE, "macosx_14_0_arm64")),
    "onnxruntime-directml": ("cp312-cp312-win_amd64",),
    "onnxruntime-ep-webgpu": tuple(f"py3-none-{system}" for system in (*_ELSEWHERE, "macosx_14_0_universal2")),
}


def write_wheel(folder: Path, name: str, version: str, *requires: str, tag: str = "py3-none-any") -> Path:
    folder.mkdir(exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", "License-Expression: MIT"]
    with ZipFile(folder / f"{stem}-{tag}.whl", "w") as file:
        file.writestr(
            f"{stem}.dist-info/METADATA", "\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires)]) + "\n\n"
        )
        file.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{stem}.dist-info/licenses/", "")
        file.writestr(f"{stem}.dist-info/licenses/LICENSE", f"Terms of {name}.\n")
        file.writestr(f"{stem}.dist-info/RECORD", "")
    return folder / f"{stem}-{tag}.whl"


def write_requirements(folder: Path) -> Path:
    """A wheel at its floor for everything that thinkport requires for the CPU, DirectML, WebGPU and its server."""
    extras = PROJECT["optional-dependencies"]
    for line in [*PROJECT["dependencies"], *extras["cpu"], *extras["dml"], *extras["webgpu"], *extras["server"]]:
        one = Requirement(line)
        floor = next(iter(one.specifier)).version
        needs = ["colorama; sys_platform == 'win32'"] if one.name == "rich" else []
        for tag in NATIVE.get(one.name, ("py3-none-any",)):
            write_wheel(folder, one.name, floor, *needs, tag=tag)
    write_wheel(folder, "colorama", "0.4.6")
    return folder

"""Each documented install line resolves today, by pip's own resolver against the package index.

Apart from the offline suite: `pytest -m online tests/contract/test_install_lines.py`. pip takes wheels for another
platform but evaluates markers for its own, so an extra's requirements are chosen here, for the platform that is asked.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from thinkport.runtime.providers.plugins import PLUGINS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WINDOWS, LINUX, MAC = ("win32", "win_amd64"), ("linux", "manylinux_2_28_x86_64"), ("darwin", "macosx_14_0_arm64")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LINES = [
    *(("dml", WINDOWS, python) for python in PYTHONS),
    *(("cuda", system, python) for system in (LINUX, WINDOWS) for python in PYTHONS),
    *(("webgpu", system, python) for system in (LINUX, WINDOWS, MAC) for python in PYTHONS),
    *(("cpu", system, python) for system in (LINUX, WINDOWS, MAC) for python in PYTHONS),
]


def requirements(extra: str, system: str, python: str) -> list[str]:
    environment = {"sys_platform": system, "python_version": python, "extra": extra}
    wanted = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"][extra]]
    chosen = [one for one in wanted if one.marker is None or one.marker.evaluate(environment)]
    return [
        f"{one.name}{'[' + ','.join(sorted(one.extras)) + ']' if one.extras else ''}{one.specifier}" for one in chosen
    ]


@pytest.mark.online
@pytest.mark.parametrize(
    ("extra", "system", "python"), LINES, ids=lambda value: value if isinstance(value, str) else value[0]
)
def test_an_install_line_resolves(extra: str, system: tuple[str, str], python: str, tmp_path: Path) -> None:
    name, tag = system
    tags = [tag]
    if name == "linux":  # pip takes exactly the tags that it is given; Debian 12 and Ubuntu 22.04 have glibc 2.35
        tags = ["manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 36))]
    if name == "darwin":
        tags = [f"macosx_{major}_0_{kind}" for major in range(11, 15) for kind in ("arm64", "universal2")]
        tags.append("macosx_10_13_universal2")
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-input", "--target", str(tmp_path)]
    platform = ["--only-binary", ":all:", "--python-version", python, *(f"--platform={one}" for one in tags)]
    asked = requirements(extra, name, python)
    done = subprocess.run([*pip, *platform, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_accelerators_are_asked_for_where_they_exist_only() -> None:
    assert not [line for line in requirements("dml", "linux", "3.12") if line.startswith("onnxruntime")]
    assert [line for line in requirements("dml", "win32", "3.12") if line.startswith("onnxruntime-directml")]


def test_the_plugin_is_asked_for_in_the_pair_that_the_runtime_takes() -> None:
    (entry,) = PLUGINS
    wanted = {one.name: one.specifier for one in map(Requirement, PROJECT["optional-dependencies"][entry.extra])}
    for plugin, core in entry.tested:
        for name, version in ((entry.distribution, plugin), ("onnxruntime", core)):
            major, minor, patch = map(int, version.split("."))
            assert wanted[name].contains(version)
            assert wanted[name].contains(f"{major}.{minor}.{patch + 3}")
            assert not wanted[name].contains(f"{major}.{minor + 1}.0")

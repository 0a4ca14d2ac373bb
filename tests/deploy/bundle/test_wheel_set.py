"""A set of wheels is complete for the system it is for, and of versions that all accept."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.deploy.bundle.fake_wheels import write_wheel

from thinkport.deploy.bundle import BundleError
from thinkport.deploy.bundle.platform import PLATFORMS
from thinkport.deploy.bundle.wheel import WheelSource, complete


def collect(folder: Path, root: str, platform: str = "linux-x86_64") -> dict[str, str]:
    found = PLATFORMS[platform]
    source = WheelSource(platform=found, python="3.12", folder=folder)
    into = folder / "chosen"
    into.mkdir()
    wheels = complete([Requirement(root)], into, found.environment("3.12"), source.fetch)
    return {name: str(wheel.version) for name, wheel in wheels.items()}


@pytest.mark.parametrize(("platform", "names"), [("win-amd64", {"app", "on-windows"}), ("linux-aarch64", {"app"})])
def test_markers_are_those_of_the_target(tmp_path: Path, platform: str, names: set[str]) -> None:
    write_wheel(tmp_path, "app", "1.0", "on-windows; sys_platform == 'win32'", "on-old; python_version < '3.12'")
    write_wheel(tmp_path, "on-windows", "2.0")
    assert set(collect(tmp_path, "app", platform)) == names


def test_extras_bring_their_own_through_any_number_of_wheels(tmp_path: Path) -> None:
    write_wheel(tmp_path, "app", "1.0", "mid[fast]; extra == 'all'", "never; extra == 'other'")
    write_wheel(tmp_path, "mid", "1.0", "deep; extra == 'fast'")
    write_wheel(tmp_path, "deep", "1.0")
    assert collect(tmp_path, "app[all]") == {"app": "1.0", "deep": "1.0", "mid": "1.0"}


def test_a_version_that_is_refused_later_gives_way(tmp_path: Path) -> None:
    write_wheel(tmp_path, "app", "1.0", "part", "picky")
    write_wheel(tmp_path, "part", "1.0")
    write_wheel(tmp_path, "part", "2.0", "only-of-two")
    write_wheel(tmp_path, "only-of-two", "1.0")
    write_wheel(tmp_path, "picky", "1.0", "part<2")
    assert collect(tmp_path, "app") == {"app": "1.0", "part": "1.0", "picky": "1.0"}


def test_a_contradiction_is_an_error_that_names_the_project(tmp_path: Path) -> None:
    write_wheel(tmp_path, "app", "1.0", "part>=2", "picky")
    write_wheel(tmp_path, "part", "2.0")
    write_wheel(tmp_path, "picky", "1.0", "part<2")
    with pytest.raises(BundleError, match=r"no complete set of wheels for linux-x86_64 and Python 3\.12: .*part"):
        collect(tmp_path, "app")


def test_a_wheel_of_another_system_is_none(tmp_path: Path) -> None:
    write_wheel(tmp_path, "app", "1.0", tag="cp312-cp312-win_amd64")
    with pytest.raises(BundleError, match="app"):
        collect(tmp_path, "app", "win-arm64")

"""thinkport's own kernels in a bundle: the right wheel of a folder, what is refused, and what the README says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from zipfile import ZipFile

import pytest
from tests.deploy.bundle.fake_wheels import write_requirements, write_wheel

from thinkport.deploy.bundle import Bundle, BundleError, BundleSettings, make_bundle
from thinkport.deploy.bundle.kernel_wheel import operators_of
from thinkport.deploy.bundle.platform import PLATFORMS
from thinkport.deploy.bundle.wheel import Wheel
from thinkport.runtime import InputError
from thinkport.runtime.errors import MissingExtraError
from thinkport.runtime.providers.kernels import OPERATORS

TAGS = {
    "linux-x86_64": "manylinux_2_17_x86_64",
    "linux-aarch64": "manylinux_2_17_aarch64",
    "win-amd64": "win_amd64",
    "win-arm64": "win_arm64",
    "macos-arm64": "macosx_11_0_arm64",
}


def kernel_wheel(folder: Path, tag: str, version: str = "0.1.0", operators: int = OPERATORS) -> Path:
    """A wheel as the kernels' is, with a library that is none."""
    made = write_wheel(folder, "thinkport-kernels", version, tag=f"py3-none-{tag}")
    with ZipFile(made, "a") as file:
        file.writestr("thinkport_kernels/__init__.py", f'"""Kernels."""\n\nOPERATORS = {operators}\n')
        file.writestr("thinkport_kernels/libthinkport_kernels.so", b"no library")
    return made


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_requirements(tmp_path_factory.mktemp("wheels"))


def bundle(
    artifact: Path, wheels: Path, output: Path, kernels: Path | Literal["build"] | None, platform: str = "linux-x86_64"
) -> Bundle:
    settings = BundleSettings(platform=platform, provider="cpu", wheels=wheels, kernels=kernels)
    return make_bundle(artifact, output, settings)


def read(made: Bundle, name: str) -> str:
    with ZipFile(made.path) as file:
        return file.read(name).decode()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_wheel_for_the_platform_is_installed_with_the_others(
    nano_artifact: Path, wheels: Path, tmp_path: Path, platform: str
) -> None:
    for tag in TAGS.values():
        kernel_wheel(tmp_path / "kernels", tag)
        kernel_wheel(tmp_path / "kernels", tag, version="0.1.1")
        kernel_wheel(tmp_path / "kernels", tag, version="0.2.0", operators=OPERATORS + 1)
    made = bundle(nano_artifact, wheels, tmp_path / "a.zip", tmp_path / "kernels", platform)
    assert made.wheels["thinkport-kernels"] == "0.1.1"
    assert "thinkport-kernels==0.1.1 --hash=sha256:" in read(made, "requirements.txt")
    with ZipFile(made.path) as file:
        (inside,) = [name for name in file.namelist() if "thinkport_kernels-" in name and name.endswith(".whl")]
        assert "artifact/cpu-native.onnx" in file.namelist()
    assert inside == f"wheels/thinkport_kernels-0.1.1-py3-none-{TAGS[platform]}.whl"
    assert "The CPU runs thinkport-kernels" in read(made, "README.txt")


def test_without_them_the_readme_says_so_and_how_to_add_them(nano_artifact: Path, wheels: Path, tmp_path: Path) -> None:
    made = bundle(nano_artifact, wheels, tmp_path / "a.zip", None)
    assert "thinkport-kernels" not in made.wheels
    said = read(made, "README.txt")
    assert "thinkport-kernels, which is faster on the CPU, is not inside" in said
    assert ".venv/bin/python -m pip install --no-index FILE.whl" in said
    windows = bundle(nano_artifact, wheels, tmp_path / "w.zip", None, "win-amd64")
    assert r".venv\Scripts\python.exe -m pip install --no-index FILE.whl" in read(windows, "README.txt")


@pytest.mark.parametrize(
    ("tag", "operators", "says"),
    [
        (None, OPERATORS, r"no wheel of thinkport-kernels for linux-x86_64 in .*, found none: .* linux-x86_64"),
        ("win_amd64", OPERATORS, r"for linux-x86_64 in .*, found thinkport_kernels-0\.1\.0-py3-none-win_amd64\.whl"),
        ("linux_x86_64", OPERATORS, r"found .*linux_x86_64\.whl"),  # of a system's compiler: it says no oldest glibc
        (TAGS["linux-x86_64"], OPERATORS - 1, rf"need operators {OPERATORS} of .*\.whl has {OPERATORS - 1}: make one"),
    ],
)
def test_a_wheel_that_is_missing_or_too_old_is_refused_and_nothing_is_left(
    nano_artifact: Path, wheels: Path, tmp_path: Path, tag: str | None, operators: int, says: str
) -> None:
    (tmp_path / "kernels").mkdir()
    if tag is not None:
        kernel_wheel(tmp_path / "kernels", tag, operators=operators)
    with pytest.raises(BundleError, match=says):
        bundle(nano_artifact, wheels, tmp_path / "a.zip", tmp_path / "kernels")
    assert [path.name for path in tmp_path.iterdir()] == ["kernels"]


def test_a_file_that_is_no_wheel_of_kernels_is_said_so(tmp_path: Path) -> None:
    empty = write_wheel(tmp_path, "thinkport-kernels", "0.1.0", tag="py3-none-win_amd64")
    with pytest.raises(BundleError, match="holds no library of kernels"):
        operators_of(Wheel(empty))
    empty.write_bytes(b"cut off")
    with pytest.raises(BundleError, match="is no wheel"):
        operators_of(Wheel(empty))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--kernels: no folder at .*, expected a folder of wheels, build or none"):
        BundleSettings(platform="win-amd64", provider="cpu", kernels=tmp_path / "nowhere")


def test_an_artifact_without_a_native_graph_needs_none(nano_fp32_artifact: Path, wheels: Path, tmp_path: Path) -> None:
    kernel_wheel(tmp_path / "kernels", TAGS["linux-x86_64"])
    with pytest.raises(InputError, match="no native graph, so that kernels would never run: leave --kernels out"):
        bundle(nano_fp32_artifact, wheels, tmp_path / "a.zip", tmp_path / "kernels")
    assert "kernels" not in read(bundle(nano_fp32_artifact, wheels, tmp_path / "b.zip", None), "README.txt")


def test_a_build_without_zig_says_what_to_install(
    nano_artifact: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkport.runtime.extras.find_spec", lambda name: None if name == "ziglang" else True)
    monkeypatch.setattr("thinkport.deploy.bundle.kernel_wheel.install_source", clone)
    with pytest.raises(MissingExtraError, match=r"ziglang not installed: run pip install .*\[zig\]"):
        bundle(nano_artifact, wheels, tmp_path / "a.zip", "build")
    monkeypatch.setattr("thinkport.deploy.bundle.kernel_wheel.install_source", dict)
    with pytest.raises(BundleError, match=r"sources of thinkport-kernels are not at hand.* give --kernels DIR"):
        bundle(nano_artifact, wheels, tmp_path / "a.zip", "build")
    assert not list(tmp_path.iterdir())


def clone() -> dict[str, object]:
    return {"url": Path(__file__).resolve().parents[3].as_uri(), "dir_info": {"editable": True}}


@pytest.mark.long
def test_kernels_that_are_built_for_this_bundle_are_in_it(
    nano_artifact: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang", reason="needs the package ziglang: make test-long")
    monkeypatch.setattr("thinkport.deploy.bundle.kernel_wheel.install_source", clone)
    made = bundle(nano_artifact, wheels, tmp_path / "a.zip", "build", "win-amd64")
    name = f"wheels/thinkport_kernels-{made.wheels['thinkport-kernels']}-py3-none-win_amd64.whl"
    with ZipFile(made.path) as file, file.open(name) as wheel, ZipFile(wheel) as inside:
        assert inside.read("thinkport_kernels/thinkport_kernels.dll")[:2] == b"MZ"
    again = bundle(nano_artifact, wheels, tmp_path / "b.zip", "build", "win-amd64")
    assert again.sha256 == made.sha256

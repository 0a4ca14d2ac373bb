"""A bundle from a folder of made-up wheels: what is in it, that it is the same each time, and what is refused."""

import hashlib
import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.deploy.bundle.fake_wheels import write_requirements

from thinkport.deploy.bundle import Bundle, BundleSettings, make_bundle
from thinkport.deploy.bundle.platform import PLATFORMS
from thinkport.deploy.verification import verify
from thinkport.runtime import ArtifactError, InputError


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_requirements(tmp_path_factory.mktemp("wheels"))


def bundle(artifact: Path, wheels: Path, output: Path, platform: str = "win-amd64", provider: str = "dml") -> Bundle:
    return make_bundle(artifact, output, BundleSettings(platform=platform, provider=provider, wheels=wheels))


@pytest.fixture(scope="module")
def windows(nano_artifact: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle(nano_artifact, wheels, tmp_path_factory.mktemp("windows") / "a.zip")


@pytest.fixture(scope="module")
def linux(nano_artifact: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle(nano_artifact, wheels, tmp_path_factory.mktemp("linux") / "a.zip", "linux-x86_64", "cpu")


def read(made: Bundle, name: str) -> bytes:
    with ZipFile(made.path) as file:
        return file.read(name)


def test_two_runs_make_the_same_bytes(nano_artifact: Path, wheels: Path, windows: Bundle, tmp_path: Path) -> None:
    again = bundle(nano_artifact, wheels, tmp_path / "b.zip")
    assert again.path.read_bytes() == windows.path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_the_slimmed_artifact_verifies_in_full(linux: Bundle, tmp_path: Path) -> None:
    with ZipFile(linux.path) as file:
        file.extractall(tmp_path / "unpacked")
    artifact = tmp_path / "unpacked" / "artifact"
    assert linux.graphs == ["cpu.onnx", "cpu-float32-kv.onnx"]
    assert not list(artifact.glob("*dml*"))
    assert not list(artifact.glob("*cuda*"))
    assert not list(artifact.glob("*webgpu*"))
    assert verify(artifact, full=True).exit_code == 0


@pytest.mark.parametrize("platform", PLATFORMS)
def test_webgpu_is_bundled_for_every_system_beside_the_cpus_onnx_runtime(
    nano_artifact: Path, wheels: Path, tmp_path: Path, platform: str
) -> None:
    made = bundle(nano_artifact, wheels, tmp_path / "a.zip", platform, "webgpu")
    assert made.graphs == ["cpu.onnx", "cpu-float32-kv.onnx", "webgpu.onnx", "webgpu-float32.onnx"]
    assert {"onnxruntime", "onnxruntime-ep-webgpu"} <= set(made.wheels)
    assert "onnxruntime-directml" not in made.wheels


def test_every_file_is_in_the_sums(windows: Bundle) -> None:
    with ZipFile(windows.path) as file:
        lines = file.read("SHA256SUMS").decode().splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
        assert set(sums) == set(file.namelist()) - {"SHA256SUMS"}
        assert all(hashlib.sha256(file.read(name)).hexdigest() == digest for name, digest in sums.items())


def test_requirements_pin_every_wheel_by_its_hash(windows: Bundle) -> None:
    lines = read(windows, "requirements.txt").decode().splitlines()
    assert {line.split(" --hash=sha256:")[0] for line in lines} == {f"{n}=={v}" for n, v in windows.wheels.items()}
    assert {"thinkport", "onnxruntime-directml", "starlette", "colorama"} <= set(windows.wheels)
    assert "onnxruntime" not in windows.wheels


def test_the_list_of_parts_names_every_wheel_and_the_model(windows: Bundle) -> None:
    document = json.loads(read(windows, "sbom.cdx.json"))
    libraries = {one["name"]: one for one in document["components"] if one["type"] == "library"}
    assert set(libraries) == set(windows.wheels)
    assert libraries["rich"]["licenses"] == [{"expression": "MIT"}]
    assert read(windows, "LICENSES/rich-15.0/rich-15.0.dist-info/licenses/LICENSE") == b"Terms of rich.\n"


def test_windows_scripts_are_of_windows(windows: Bundle) -> None:
    script = read(windows, "install.ps1")
    assert b'$wanted = "3.12 win-amd64"' in script
    assert script.count(b"\n") == script.count(b"\r\n")
    assert script.isascii()
    assert b'thinkport.exe" serve "%~dp0artifact"' in read(windows, "serve.cmd")


def test_other_scripts_are_of_a_shell_and_may_be_run(linux: Bundle) -> None:
    assert b'wanted="3.12 x86_64"' in read(linux, "install.sh")
    with ZipFile(linux.path) as file:
        assert {file.getinfo(name).external_attr >> 16 for name in ("install.sh", "chat.sh")} == {0o100755}
        assert not [name for name in file.namelist() if name.endswith((".cmd", ".ps1"))]


@pytest.mark.parametrize(
    ("platform", "provider", "reason"),
    [
        ("linux-x86_64", "dml", "DirectML is a part of Windows"),
        ("win-arm64", "dml", "onnxruntime-directml has no wheels"),
        ("macos-arm64", "cuda", "CUDA isn't for this system"),
        ("linux-aarch64", "cuda", "onnxruntime-gpu has no wheels"),
        ("win-amd46", "cpu", "did you mean 'win-amd64'"),
        ("win-amd64", "cpuu", "did you mean 'cpu'"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(
    nano_artifact: Path, tmp_path: Path, platform: str, provider: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        bundle(nano_artifact, tmp_path, tmp_path / "a.zip", platform, provider)
    assert not list(tmp_path.iterdir())


def test_an_artifact_without_such_a_graph_is_refused(nano_fp32_artifact: Path, wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no graph for dml, only for cpu: export it again with --target dml"):
        bundle(nano_fp32_artifact, wheels, tmp_path / "a.zip")


def test_a_damaged_artifact_is_refused_and_nothing_is_left(nano_artifact: Path, wheels: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in nano_artifact.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "tokenizer.json").write_bytes((broken / "tokenizer.json").read_bytes()[:-1] + b" ")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json does not have the recorded sha256"):
        bundle(broken, wheels, tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_a_file_that_is_there_is_replaced_only_when_told(nano_artifact: Path, wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(InputError, match="--force"):
        bundle(nano_artifact, wheels, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"mine"

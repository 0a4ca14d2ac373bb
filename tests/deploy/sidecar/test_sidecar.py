"""A sidecar as an app has it: no Python on the path, started as a child, gone with its parent."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from thinkport.deploy.sidecar.build import KERNELS, Sidecar, build_sidecar
from thinkport.runtime import InputError
from thinkport.runtime.providers.kernels import kernel_sets
from thinkport.runtime.providers.program import TRIAL_VERB

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
pytestmark = pytest.mark.long
CLEAN = {"PATH": "/nowhere", "HOME": "/nowhere"}


@pytest.fixture(scope="module")
def sidecar(nano_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Sidecar:
    pytest.importorskip("PyInstaller", reason="pyinstaller is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, KERNELS, raising=False)  # which is hidden from tests
        return build_sidecar(nano_artifact, tmp_path_factory.mktemp("built") / "side car")


def start(sidecar: Sidecar, cache: Path) -> tuple[subprocess.Popen[str], dict]:
    command = [str(sidecar.program), "serve", str(sidecar.folder / "artifact"), "--sidecar"]
    environment = CLEAN | {"XDG_CACHE_HOME": str(cache)}
    child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, json.loads(child.stdout.readline())


def test_it_answers_without_any_python_and_ends_with_its_pipe(sidecar: Sidecar, tmp_path: Path) -> None:
    child, told = start(sidecar, tmp_path)
    ask = {"messages": [{"role": "user", "content": "What is 86*57?"}], "enable_thinking": True}
    url = f"{told['url']}/v1/chat/completions"
    assert httpx.post(url, json=ask).status_code == 401
    answer = httpx.post(url, json=ask, headers={"authorization": f"Bearer {told['api_key']}"}, timeout=300)
    assert answer.json()["choices"][0]["message"]["content"] == "4902"
    assert httpx.get(told["url"]).text.startswith("<!doctype html>")
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(120) == 0
    assert child.stdout is not None
    child.stdout.close()


def test_it_ends_when_its_parent_is_killed(sidecar: Sidecar, tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "print(child.pid, child.stdout.readline(), flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, str(sidecar.program), "serve", str(sidecar.folder / "artifact")]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen([*command, "--sidecar"], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, said = parent.stdout.readline().split(maxsplit=1)
        assert json.loads(said)["port"]
        parent.kill()
    until = monotonic() + 120
    while _alive(int(pid)) and monotonic() < until:
        sleep(0.1)
    assert not _alive(int(pid))


def _alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_the_other_verbs_are_there_and_torch_is_not(sidecar: Sidecar) -> None:
    shown = subprocess.run([sidecar.program, "--help"], env=CLEAN, capture_output=True, text=True, check=True)
    assert all(verb in shown.stdout for verb in ("generate", "serve", "doctor"))
    names = {path.name for path in (sidecar.folder / "lib").iterdir()}
    assert not names & {"torch", "transformers", "onnx", "scipy"}
    print(f"sidecar of {sidecar.bytes / 1e6:.0f} MB")


def test_the_client_in_javascript_gets_its_answer(sidecar: Sidecar, tmp_path: Path) -> None:
    if (node := shutil.which("node")) is None:
        pytest.skip("no Node.js on this machine")
    (tmp_path / "ask.mjs").write_text((EXAMPLES / "ask.js").read_text())
    command = [node, "ask.mjs", str(sidecar.folder), "What is 86*57?"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout.strip(), done.returncode) == ("4902", 0), done.stderr
    assert "6*7=42" in done.stderr


def test_the_client_in_c_gets_its_answer(sidecar: Sidecar, tmp_path: Path) -> None:
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler on this machine")
    program = tmp_path / "ask"
    flags = ["-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run([compiler, *flags, "-o", str(program), str(EXAMPLES / "ask.c")], check=True)
    command = [str(program), str(sidecar.folder), "What is 86*57?"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "4902"


def test_the_client_in_csharp_gets_its_answer(sidecar: Sidecar, tmp_path: Path) -> None:
    if (dotnet := shutil.which("dotnet")) is None:
        pytest.skip("no .NET on this machine: the C# client was not compiled")
    subprocess.run([dotnet, "new", "console", "-o", str(tmp_path / "ask")], check=True, capture_output=True)
    (tmp_path / "ask" / "Program.cs").write_text((EXAMPLES / "Ask.cs").read_text())
    command = [dotnet, "run", "--project", str(tmp_path / "ask"), "--", str(sidecar.folder), "What is 86*57?"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "4902"


def test_what_is_there_is_not_replaced(sidecar: Sidecar, nano_artifact: Path) -> None:
    with pytest.raises(InputError, match="--force"):
        build_sidecar(nano_artifact, sidecar.folder)


@pytest.mark.parametrize(("graph", "outcome"), [("cpu.onnx", "right"), ("webgpu-float32.onnx", "impossible")])
def test_it_tries_graphs_in_processes_of_its_own(sidecar: Sidecar, tmp_path: Path, graph: str, outcome: str) -> None:
    pytest.importorskip("onnxruntime_ep_webgpu", reason="the WebGPU plugin is not installed")
    command = [str(sidecar.program), TRIAL_VERB, str(sidecar.folder / "artifact"), graph, "60"]
    environment = CLEAN | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["outcome"] == outcome, told
    assert "not installed" not in told["reason"]  # the plugin travels; what is missing is a device


def test_it_runs_kernels_of_its_own(sidecar: Sidecar, native_kernels: Path, tmp_path: Path) -> None:
    best = kernel_sets(sidecar.folder / "lib" / KERNELS / native_kernels.name)[0]
    command = [str(sidecar.program), "doctor", str(sidecar.folder / "artifact"), "--json"]
    environment = CLEAN | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: with a warning
    attempts = [trial["attempt"] for trial in json.loads(done.stdout)["trials"]]
    native = next(one for one in attempts if one["graph"] == "cpu-native.onnx")
    assert (native["outcome"], native["kernels"]) == ("checked", best), native

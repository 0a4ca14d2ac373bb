"""Every thinkport command of the pages is run, in order, on the reference checkpoint; nothing is installed again."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("five-minutes", "gpu-laptops", "thinking-budgets", "choosing-a-recipe", "running", "troubleshooting")
NETWORK = ("bundle",)  # verbs that ask a package index
FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.long


def commands(page: str) -> list[str]:
    text = (ROOT / "deploy" / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return [line for block in FENCE.findall(text) for line in block.splitlines() if "thinkport " in line]


@pytest.fixture
def clone(tmp_path: Path, nano_artifact: Path) -> Path:
    """What a clone of the repository has, and the demonstration's artifact."""
    shutil.copytree(ROOT / "artifacts" / "checkpoints", tmp_path / "artifacts" / "checkpoints")
    shutil.copytree(nano_artifact, tmp_path / "artifacts" / "nano-int4")
    return tmp_path


def serve(command: str, folder: Path, environment: dict[str, str]) -> None:
    """Run a server until it answers, and end it as Ctrl-C does."""
    with subprocess.Popen(command.split(), cwd=folder, env=environment, stderr=subprocess.PIPE) as server:
        until = monotonic() + 300
        while monotonic() < until and server.poll() is None:
            try:
                assert httpx.get("http://127.0.0.1:8080/health").json()["status"] == "ok"
                break
            except httpx.TransportError:
                sleep(0.2)
        server.send_signal(signal.SIGINT)
        assert server.wait(120) == 0


@pytest.mark.skipif(os.name == "nt", reason="the pages' commands are for a POSIX shell here")
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_works(page: str, clone: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = 0
    for command in commands(page):
        verb = command.split("thinkport ")[1].split()[0]
        if verb == "serve":
            serve(command, clone, environment)
        elif verb not in NETWORK:
            done = subprocess.run(
                command, shell=True, cwd=clone, env=environment, capture_output=True, text=True, check=False
            )
            allowed = {0, 1} if verb == "doctor" else {0}  # 1: something could be better on this machine
            assert done.returncode in allowed, f"{command}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
            assert done.stdout
        ran += 1
    assert ran >= 2

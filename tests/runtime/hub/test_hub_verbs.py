"""The console command and the library take an artifact on the Hub wherever they take a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fake_hub import COMMIT, REPO, TOKEN, FakeHub

from thinkport.runtime import ArtifactError, Model

MAIN = "from thinkport.runtime.cli.main import main; main()"
LOADS = """
import sys
from thinkport.runtime import Model
with Model.load(sys.argv[1]) as model:
    print(model.generate("What is 3 plus 4?", thinking=False, sampling={"temperature": 0}, max_tokens=8).answer)
heavy = sorted({"torch", "transformers", "onnx"} & set(sys.modules))
assert not heavy, heavy
"""


def run(hub: FakeHub, folder: Path, *words: str, program: str = MAIN) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "HF_TOKEN": TOKEN}
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)


def test_a_model_loads_by_its_name_on_the_hub_without_torch(shared: FakeHub, tmp_path: Path) -> None:
    done = run(shared, tmp_path, f"{REPO}@v1", program=LOADS)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_push_tells_the_revision_and_pull_the_folder(hub: FakeHub, artifact: Path, tmp_path: Path) -> None:
    pushed = run(hub, tmp_path, "push", str(artifact), REPO)
    assert (pushed.returncode, pushed.stdout, pushed.stderr) == (0, f"{REPO}@{COMMIT}\n", "")
    pulled = run(hub, tmp_path, "pull", REPO, "-o", "copy")
    assert (pulled.returncode, pulled.stdout, pulled.stderr) == (0, "copy\n", f"{REPO}@{COMMIT}\n")
    verified = run(hub, tmp_path, "verify", "copy")
    assert verified.returncode == 0, verified.stderr


def test_a_verb_takes_an_artifact_on_the_hub(shared: FakeHub, tmp_path: Path) -> None:
    done = run(shared, tmp_path, "inspect", REPO, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_name_that_is_nothing_is_one_sentence(hub: FakeHub, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "generate", "someone/nothing", "Hello")
    assert done.returncode == 3
    assert done.stderr.startswith("thinkport: no folder someone/nothing is here, and from the Hub: ")
    assert len(done.stderr.splitlines()) == 1


def test_what_is_neither_a_folder_nor_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"expected a folder that .* or OWNER/NAME\[@REVISION\] on the Hub"):
        Model.load(str(tmp_path / "missing"))

"""A Hub id goes the whole way: fetched, exported, and named with its commit in the manifest."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fake_hub import COMMIT, REPO, FakeHub

from thinkport.runtime.artifact.manifest import read_manifest

MAIN = "from thinkport.runtime.cli.main import main; main()"


@pytest.fixture
def hub(nano_checkpoint: Path) -> Iterator[FakeHub]:
    server = FakeHub({file.name: file.read_bytes() for file in nano_checkpoint.iterdir()})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def export(checkpoint: str, output: Path, hub: FakeHub, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(output.parent / "home")}
    command = [sys.executable, "-c", MAIN, "export", checkpoint, "-o", str(output), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_manifest_names_the_commit_that_a_revision_was_resolved_to(hub: FakeHub, tmp_path: Path) -> None:
    quickly = ("--recipe", "fast", "--target", "cpu", "--no-certificate")
    done = export(f"{REPO}@v1", tmp_path / "artifact", hub, *quickly)
    assert done.returncode == 0, done.stderr
    source = read_manifest(tmp_path / "artifact").source
    assert (source.id, source.revision) == (REPO, COMMIT)
    assert "heldout.jsonl" not in {name for name, _ in hub.fetched}


def test_a_model_that_is_not_supported_is_refused_before_its_weights_are_fetched(hub: FakeHub, tmp_path: Path) -> None:
    config = json.loads(hub.files["config.json"])
    hub.files["config.json"] = json.dumps(config | {"model_type": "gpt_neox"}).encode()
    done = export(REPO, tmp_path / "artifact", hub)
    assert "model_type 'gpt_neox' is not supported" in done.stderr
    assert "model.safetensors" not in {name for name, _ in hub.fetched}


def test_a_repository_that_is_not_there_is_one_sentence(hub: FakeHub, tmp_path: Path) -> None:
    done = export("someone/nothing", tmp_path / "artifact", hub)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("thinkport: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "artifact").exists()

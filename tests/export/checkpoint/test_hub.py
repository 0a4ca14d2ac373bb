"""Hub ids, against a fake Hub on this machine's loopback: what is fetched, kept, resumed and refused."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fake_hub import COMMIT, REPO, FakeHub

from thinkport.export.checkpoint import Checkpoint, Progress, open_checkpoint, resolve
from thinkport.export.errors import CheckpointError
from thinkport.runtime.artifact.manifest import Task
from thinkport.runtime.hub.download_progress import reporting_bar


@pytest.fixture
def hub(tiny: Path) -> Iterator[FakeHub]:
    files = {file.name: file.read_bytes() for file in tiny.iterdir()}
    legal = {"README.md": b"#", "LICENSE.txt": b"terms", "NOTICE": b"names"}
    server = FakeHub(files | legal | {"pytorch_model.bin": b"pickle", "onnx/model.safetensors": b"other"})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("ref", [REPO, f"{REPO}@v1", f"{REPO}@{COMMIT}"])
def test_an_id_is_fetched_and_the_commit_it_was_resolved_to_is_known(hub: FakeHub, tmp_path: Path, ref: str) -> None:
    checkpoint = open_checkpoint(ref, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert (checkpoint.id, checkpoint.revision) == (REPO, COMMIT)
    assert checkpoint.read("weight").shape == (6, 4)


def test_only_the_needed_files_are_fetched(hub: FakeHub, tmp_path: Path) -> None:
    resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    needed = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {name for name, _ in hub.fetched} == needed | {"README.md", "LICENSE.txt", "NOTICE"}


def test_of_an_embedding_model_the_configurations_of_its_modules_are_fetched_too(hub: FakeHub, tmp_path: Path) -> None:
    pooling = b'{"pooling_mode_lasttoken": true}'
    modules = b'[{"path": "", "type": "a.Transformer"}, {"path": "1_Pooling", "type": "a.Pooling"}]'
    hub.files |= {"modules.json": modules, "1_Pooling/config.json": pooling}
    opened = open_checkpoint(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert opened.task is Task.EMBEDDING
    assert (opened.folder / "1_Pooling" / "config.json").read_bytes() == pooling
    assert "onnx/model.safetensors" not in {name for name, _ in hub.fetched}


def test_a_template_for_tools_is_fetched_from_its_folder_and_nothing_else_of_folders(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.files |= {"chat_template.jinja": b"plain", "additional_chat_templates/tool_use.jinja": b"with tools"}
    others = ("additional_chat_templates/rag.jinja", "onnx/config.json", "a/x.safetensors.index.json", "LICENSES/MIT")
    hub.files |= dict.fromkeys(others, b"other")
    template = open_checkpoint(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache").chat_template
    assert template is not None
    assert "with tools" in template
    assert not {*others, "onnx/model.safetensors"} & {name for name, _ in hub.fetched}


def test_a_checkpoint_that_is_refused_by_its_small_files_costs_no_weights(hub: FakeHub, tmp_path: Path) -> None:
    def refuse(checkpoint: Checkpoint) -> None:
        assert (checkpoint.revision, checkpoint.config, dict(checkpoint.tensors)) == (
            COMMIT,
            {"model_type": "qwen3"},
            {},
        )
        raise CheckpointError("a mixture of experts")

    with pytest.raises(CheckpointError, match="a mixture of experts"):
        open_checkpoint(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache", check=refuse)
    assert hub.fetched
    assert "model.safetensors" not in {name for name, _ in hub.fetched}


def test_what_was_fetched_is_not_fetched_again(hub: FakeHub, tmp_path: Path) -> None:
    for _ in range(2):
        resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert len(hub.fetched) == len({name for name, _ in hub.fetched})


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub: FakeHub, tmp_path: Path) -> None:
    hub.files["model.safetensors"] = bytes(range(256)) * (96 << 10)  # more than two of the library's 10 MiB pieces
    hub.cut = {"model.safetensors"}
    found = resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert (found.folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert [span for name, span in hub.fetched if name == "model.safetensors"] == [None, f"bytes={10 << 20}-"]


def test_progress_ends_at_the_size_of_the_weights(hub: FakeHub, tmp_path: Path) -> None:
    seen: list[Progress] = []
    resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache", progress=seen.append)
    size = len(hub.files["model.safetensors"])
    assert seen[-1] == Progress(size, size)


def test_bytes_that_come_in_several_threads_are_told_one_call_at_a_time() -> None:
    told: list[int] = []
    busy = threading.Lock()

    def report(progress: Progress) -> None:
        assert busy.acquire(blocking=False)
        time.sleep(0.001)
        told.append(progress.done)
        busy.release()

    bar = reporting_bar(report)(name="huggingface_hub.snapshot_download", total=64)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(bar.update, [1] * 64))
    assert told == list(range(1, 65))


def test_nothing_is_printed(hub: FakeHub, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("someone/gated", "someone/gated is gated: accept its terms"),
        ("someone/nothing", "someone/nothing doesn't exist on the Hub, or is private"),
        (f"{REPO}@v2", f"{REPO} has no branch, tag or commit 'v2'"),
        ("tiny-thinker", "neither a folder nor a Hub id such as"),
        ("./missing/folder", "neither a folder nor a Hub id such as"),
        ("a/b/c", "neither a folder nor a Hub id such as"),
    ],
)
def test_each_refusal_is_one_clear_sentence(hub: FakeHub, tmp_path: Path, ref: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        resolve(ref, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_without_a_network_the_local_cache_serves(hub: FakeHub, tmp_path: Path) -> None:
    online = resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert resolve(REPO, endpoint="http://127.0.0.1:9", cache_dir=tmp_path / "cache") == online


def test_without_a_network_an_incomplete_cache_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    online = resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    (online.folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="isn't whole in the local cache and the Hub can't be reached"):
        resolve(REPO, endpoint="http://127.0.0.1:9", cache_dir=tmp_path / "cache")


def test_without_a_network_or_a_cache_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="the Hub can't be reached: connect, or give a local folder"):
        resolve(REPO, endpoint="http://127.0.0.1:9", cache_dir=tmp_path / "cache")


def test_the_environment_may_name_another_hub(hub: FakeHub, tmp_path: Path) -> None:
    code = f"from thinkport.export.checkpoint import resolve; print(resolve({REPO!r}).revision)"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == COMMIT

"""Hub ids, against a fake Hub on this machine's loopback: what is fetched, kept, resumed and refused."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from thinkport.export.checkpoint import Progress, open_checkpoint, resolve
from thinkport.export.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/tiny-thinker"


class FakeHub(ThreadingHTTPServer):
    """Serves one repository, refuses a gated one, and knows no other."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.fetched: list[tuple[str, str | None]] = []
        self.cut: set[str] = set()  # files whose first fetch breaks off half way

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/api/models/someone/gated"):
            self.fail(403, "GatedRepo")
        elif path in (f"/api/models/{REPO}/revision/{name}" for name in ("main", "v1", COMMIT)):
            self.send({"id": REPO, "sha": COMMIT, "siblings": []})
        elif path.startswith(f"/api/models/{REPO}/tree/{COMMIT}"):
            self.send([self.listing(name) for name in self.server.files])
        elif path.startswith(f"/{REPO}/resolve/{COMMIT}/"):
            self.send_file(path.rsplit(f"{COMMIT}/")[1], body=body)
        else:
            self.fail(404, "RevisionNotFound" if path.startswith(f"/api/models/{REPO}/") else "RepoNotFound")

    def listing(self, name: str) -> dict[str, object]:
        content = self.server.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def send(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send_file(self, name: str, *, body: bool) -> None:
        content, asked = self.server.files[name], self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if not body:
            return
        self.server.fetched.append((name, asked))
        if name in self.server.cut:
            self.server.cut.discard(name)
            self.wfile.write(content[start : len(content) // 2])
            self.close_connection = True
        else:
            self.wfile.write(content[start:])

    def fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(tiny: Path) -> Iterator[FakeHub]:
    files = {file.name: file.read_bytes() for file in tiny.iterdir()}
    server = FakeHub(files | {"pytorch_model.bin": b"pickle", "onnx/model.safetensors": b"other", "README.md": b"#"})
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
    assert {name for name, _ in hub.fetched} == needed


def test_what_was_fetched_is_not_fetched_again(hub: FakeHub, tmp_path: Path) -> None:
    for _ in range(2):
        resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert len(hub.fetched) == 5


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub: FakeHub, tmp_path: Path) -> None:
    hub.files["model.safetensors"] = bytes(range(256)) * (96 << 10)  # more than two of the library's 10 MiB pieces
    hub.cut = {"model.safetensors"}
    found = resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert (found.folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert [span for name, span in hub.fetched if name == "model.safetensors"] == [None, f"bytes={10 << 20}-"]


def test_progress_ends_at_the_size_of_all_files(hub: FakeHub, tmp_path: Path) -> None:
    seen: list[Progress] = []
    resolve(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache", progress=seen.append)
    size = sum(len(hub.files[name]) for name, _ in hub.fetched)
    assert seen[-1] == Progress(size, size)


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

"""A tiny Hub on this machine's loopback."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/tiny-thinker"
TOKEN = "hf_0123456789"
RESOLVE = re.compile(rf"/{REPO}/resolve/(main|v1|{COMMIT})/(?P<name>.+)")


class FakeHub(ThreadingHTTPServer):
    """Serves one repository, refuses a gated one, takes a commit to it from whoever has TOKEN, and knows no other."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.fetched: list[tuple[str, str | None]] = []
        self.cut: set[str] = set()  # files whose first fetch breaks off half way
        self.commits: list[str] = []
        self.private = False

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
        if path.startswith(("/api/models/someone/gated", "/someone/gated/")):
            self.fail(403, "GatedRepo")
        elif path in (f"/api/models/{REPO}/revision/{name}" for name in ("main", "v1", COMMIT)):
            self.send({"id": REPO, "sha": COMMIT, "siblings": []})
        elif path.startswith(f"/api/models/{REPO}/tree/{COMMIT}"):
            self.send([self.listing(name) for name in self.server.files])
        elif found := RESOLVE.fullmatch(path):
            self.send_file(found["name"], body=body)
        else:
            self.fail(
                404, "RevisionNotFound" if path.startswith((f"/api/models/{REPO}/", f"/{REPO}/")) else "RepoNotFound"
            )

    def do_POST(self) -> None:
        path, content = urlsplit(self.path).path, self.content()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.fail(401, "")
        elif path == "/api/repos/create":
            self.server.private = json.loads(content).get("visibility") == "private"
            self.send({"url": f"{self.server.url}/{REPO}"})
        elif path == "/api/validate-yaml":
            self.send({"errors": [], "warnings": []})
        elif path.startswith(f"/api/models/{REPO}/branch/"):
            self.send({})
        elif path.startswith(f"/api/models/{REPO}/preupload/"):
            self.send({"files": [self.mode(file["path"]) for file in json.loads(content)["files"]]})
        elif path.startswith(f"/api/models/{REPO}/commit/"):
            self.commit([json.loads(line) for line in content.splitlines()], path.rsplit("/", 1)[1])
        else:
            self.fail(404, "RepoNotFound")

    def content(self) -> bytes:
        """The request's body, of a known length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def mode(self, name: str) -> dict[str, object]:
        """Every file comes in the commit itself: storage for large ones has a protocol and a client of its own."""
        return {"path": name, "uploadMode": "regular", "shouldIgnore": False}

    def commit(self, lines: list[dict], branch: str) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.commits.append(f"{branch}: {value['summary']}")
            else:
                self.server.files[value["path"]] = base64.b64decode(value["content"])
        self.send({"commitUrl": f"{self.server.url}/{REPO}/commit/{COMMIT}", "commitOid": COMMIT})

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
        if name not in self.server.files:
            self.fail(404, "EntryNotFound")
            return
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

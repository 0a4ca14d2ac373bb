"""Sites of the reference artifact, a host that serves them, and a browser."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from thinkport.deploy.website import SiteSettings, make_site
from thinkport.deploy.website.onnxruntime_files import BINARIES, SCRIPTS, VERSION
from thinkport.deploy.website.site_server import site_app
from thinkport.runtime.artifact.manifest import MANIFEST_NAME
from thinkport.runtime.server.interface.page import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROOT = Path(__file__).parents[3]
NPM = ROOT / "deploy" / "web" / "node_modules" / "onnxruntime-web"
PIECE = 1 << 20
LONG = 2_000_000  # tokens, whose KV cache no WebAssembly has room for


@pytest.fixture(scope="session")
def stand_in_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with names of a built page, for tests that only write sites."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "assets").mkdir()
    for name in ("site.html", "index.html", "sw.js", "icon.svg", "LICENSES.txt", "assets/site-1.js"):
        (folder / name).write_text(f"// {name}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def stand_in_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the names of onnxruntime-web's npm package."""
    folder = tmp_path_factory.mktemp("onnxruntime-web")
    (folder / "dist").mkdir()
    (folder / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "version": VERSION}), encoding="utf-8")
    for name in (*SCRIPTS, *BINARIES.values()):
        (folder / "dist" / name).write_bytes(f"{name}\n".encode() * 1000)
    return folder


@pytest.fixture
def long_artifact(nano_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the reference artifact that says it takes very long conversations."""
    copy = Path(shutil.copytree(nano_artifact, tmp_path / "long"))
    manifest = json.loads((copy / MANIFEST_NAME).read_text(encoding="utf-8"))
    manifest.pop("manifest_sha256", None)
    manifest["model"]["context_length"] = LONG
    (copy / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def _without_types(app: ASGIApp) -> ASGIApp:
    """Calls scripts with a name of .mjs, and all that browsers don't ask a type of, bytes."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start" and not scope["path"].endswith(("/", ".html", ".js", ".css")):
                MutableHeaders(scope=message)["content-type"] = "application/octet-stream"
            await send(message)

        await app(scope, receive, sender)

    return answer


class Host:
    """A web host of one folder, which counts what it is asked for and may fail."""

    def __init__(self, folder: Path, *, headers: bool, at: str = "", plain: bool = False):
        """`at` is the host's folder that the site lies in; a `plain` host knows no types and packs what it sends."""
        self.folder, self.asked, self.refuses = folder, list[str](), set[str]()
        app = site_app(folder, headers=headers)
        if plain:
            app = GZipMiddleware(_without_types(app))
        self._app = Starlette(routes=[Mount(at, app)]) if at else app
        self._bound = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._bound.getsockname()[1]}{at}/"
        self._server = uvicorn.Server(
            uvicorn.Config(self._answer, interface="asgi3", log_config=None, lifespan="off", ws="none")
        )
        self._thread = Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._bound])))
        self._thread.start()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        if scope["path"] in self.refuses:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)

    @property
    def pieces(self) -> int:
        """How many pieces it was asked for so far."""
        return sum(path.startswith("/pieces/") for path in self.asked)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._bound.close()


@pytest.fixture
def host() -> Iterator[Callable[..., Host]]:
    """Serves a folder: `host(folder, headers=False)` is a host that sends none of its own."""
    hosts = []

    def make(folder: Path, *, headers: bool = True, **odd: Any) -> Host:
        hosts.append(Host(folder, headers=headers, **odd))
        return hosts[-1]

    yield make
    for one in hosts:
        one.close()


@pytest.fixture(scope="session")
def real_runtime() -> Path:
    """The folder of onnxruntime-web; skips where it, or the built page, is missing."""
    if not (FOLDER / "site.html").is_file():
        pytest.skip("the page is not built: python deploy/web/build.py")
    if not NPM.is_dir():
        pytest.skip("onnxruntime-web is not installed: npm ci --prefix deploy/web")
    return NPM


@pytest.fixture(scope="session")
def real_site(nano_artifact: Path, real_runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of the reference artifact that runs, in pieces of 1 MiB; tests change copies."""
    output = tmp_path_factory.mktemp("real") / "site"
    make_site(nano_artifact, output, SiteSettings(onnxruntime_web=real_runtime, piece_bytes=PIECE))
    return output


@pytest.fixture
def site(real_site: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(real_site, tmp_path / "site"))

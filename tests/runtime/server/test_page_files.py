"""The page's files as the server sends them, and what it says where they are not built. No browser."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.app import _told
from thinkport.runtime.server.interface.page import how_to_build, is_open, page_routes

SCRIPT = "let word = 1;\n" * 200


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "assets" / "index-1a2b.js").write_text(SCRIPT)
    (folder / "assets" / "font.woff2").write_bytes(b"wOF2")
    (folder / "sources.sha256").write_text("secret")
    (tmp_path / "outside.js").write_text("outside")
    return folder


@pytest.fixture
def client(built: Path) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=page_routes(built), exception_handlers={ApiError: _told})) as client:
        yield client


def test_files_are_sent_with_their_types_and_the_right_time_to_keep_them(client) -> None:
    page, script, font = (client.get(path) for path in ("/", "/assets/index-1a2b.js", "/assets/font.woff2"))
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in script.headers["cache-control"]
    assert script.text == SCRIPT
    assert (font.content, font.headers["content-type"]) == (b"wOF2", "font/woff2")


def test_text_is_packed_for_who_takes_that_and_fonts_never(client) -> None:
    script = client.get("/assets/index-1a2b.js", headers={"accept-encoding": "gzip"})
    assert script.headers["content-encoding"] == "gzip"
    assert int(script.headers["content-length"]) < len(SCRIPT) / 5
    plain = client.get("/assets/index-1a2b.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in client.get("/assets/font.woff2").headers
    assert gzip.compress(b"same", mtime=0) == gzip.compress(b"same", mtime=0)


@pytest.mark.parametrize(
    "path",
    [
        "/assets/no.js",
        "/assets/..%2f..%2foutside.js",
        "/assets/..%5c..%5coutside.js",
        "/assets/sources.sha256",
        "/icon.svg",
    ],
)
def test_nothing_else_is_sent(client, path) -> None:
    assert client.get(path).status_code == 404


def test_a_page_that_is_built_again_is_sent_and_the_folder_is_not_walked_each_time(
    client, built, tmp_path, monkeypatch
) -> None:
    assert client.get("/assets/index-1a2b.js").status_code == 200
    with monkeypatch.context() as patched:
        patched.delattr(Path, "rglob")
        assert client.get("/assets/index-1a2b.js").text == SCRIPT
    built.rename(tmp_path / "old")
    assert client.get("/assets/index-1a2b.js").status_code == 404
    (built / "assets").mkdir(parents=True)
    (built / "assets" / "index-3c4d.js").write_text("new")
    assert client.get("/assets/index-3c4d.js").text == "new"


def test_only_the_pages_files_need_no_key() -> None:
    assert all(map(is_open, ("/", "/icon.svg", "/assets/a.js")))
    assert not any(map(is_open, ("/v1/models", "/assets", "/metrics", "/index.html")))


def test_without_a_page_one_sentence_says_how_to_get_it(tmp_path) -> None:
    with TestClient(Starlette(routes=page_routes(tmp_path / "none"))) as client:
        told = client.get("/")
    assert told.status_code == 404
    assert told.headers["content-type"].startswith("text/plain")
    assert "run `python deploy/web/build.py`" in told.text
    assert "install it again" in how_to_build(tmp_path / "no-builder.py")


def test_health_says_how_replies_think_unless_told_otherwise(served, serve, serve_model, nano_artifact) -> None:
    from thinkport.runtime import Model, Thinking

    health = httpx.get(f"{served.url}/health").json()
    assert (health["thinking"]["budget"], health["key_needed"]) == (None, False)
    assert health["sampling"]["thinking"]["top_k"] == served.service.model.manifest.sampling.thinking.top_k
    with Model.load(nano_artifact, kernels="off", thinking=Thinking(enabled=False, budget=30)) as model:
        thinking = httpx.get(f"{serve_model(model).url}/health").json()["thinking"]
        assert (thinking["enabled"], thinking["budget"], thinking["width"]) == ("off", 30, 1)
    assert httpx.get(f"{serve(api_key='a-key-of-some-length').url}/health").json()["key_needed"] is True


def test_stop_ends_a_stream_with_its_figures(serve) -> None:
    served = serve(max_rows=1)
    served.slow_down(0.05)
    asked = {"messages": [{"role": "user", "content": "What is 86*57?"}], "stream": True, "enable_thinking": True}
    with httpx.stream("POST", f"{served.url}/v1/chat/completions", json=asked, timeout=60) as reply:
        name, lines = reply.headers["x-thinkport-reply"], reply.iter_lines()
        next(line for line in lines if '"reasoning_content":"' in line)
        assert httpx.post(f"{served.url}/v1/chat/completions/{name}/stop").status_code == 204
        last = [line for line in lines if '"finish_reason":"length"' in line]
    assert '"answer_end":"cancelled"' in last[0]
    assert '"thinking_n":' in last[0]
    assert served.idle()
    assert httpx.post(f"{served.url}/v1/chat/completions/{name}/stop").status_code == 404

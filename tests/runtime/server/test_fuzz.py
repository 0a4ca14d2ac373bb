"""Whatever clients send, on every route: their mistake is never called ours, and the next client gets its answer."""

import http.client
import json
import random
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.runtime.server.conftest import Served, running

from thinkport.runtime import Model

pytestmark = pytest.mark.long

WRONG = {500, 501, 502, 504}
MAY_BE_BUSY = ("/health", "/ready")
LONE = "\ud800"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2.5, 1 << 70, 1e308, float("inf"), float("nan")),
    *("", "x", LONE, "on", "off", "\x00", "a" * 70_000),
    *([], [1], [True], ["a"], [[]], [[1]], [None], [1 << 70], [LONE], [-1], ["a"] * 3000),
    *(
        {},
        {"a": 1},
        {LONE: 1},
        {"type": LONE},
        {"type": []},
        {"type": "x"},
        {"type": "text"},
        nested(300),
        [nested(60)],
    ),
    {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "#"}}},
    {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "string", "pattern": "a{1000000}"}}},
    {"type": "json_schema", "json_schema": {"schema": {"properties": {f"p{at}": {} for at in range(5000)}}}},
    {"type": "json_schema", "schema": {"type": "nonsense"}},
    {"type": "json_object", "schema": {"type": "integer"}},
    {"type": "enabled", "budget_tokens": -1},
    [{"role": "user", "content": LONE}],
    [{"role": LONE, "content": "x"}],
    [{"role": "user", "content": nested(200)}],
    [{"role": "user", "content": ["a", "b"]}],
    [{"role": "user", "content": [{"type": [], "text": "x"}]}],
    [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "a", "arguments": "[" * 2000}}]}],
    [{"role": "tool", "tool_call_id": [], "content": "x"}],
    [{"type": "item_reference", "id": LONE}],
    [{"type": "function_call_output", "call_id": {}, "output": "x"}],
    [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#/nope"}}}],
    [{"type": "function", "function": {"name": LONE}}],
    [{"type": "function", "name": [], "parameters": 5}],
    [{"name": "f", "input_schema": {"type": "object", "properties": nested(50)}}],
]


def base_of(path: str) -> dict[str, Any]:
    """A right body of each route, as short as can be."""
    say = [{"role": "user", "content": "1+1"}]
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": say, "max_tokens": 3},
        "/v1/completions": {"prompt": "1+1", "max_tokens": 3},
        "/v1/responses": {"input": "1+1", "max_output_tokens": 3},
        "/v1/messages": {"model": "nano", "messages": say, "max_tokens": 3},
        "/v1/messages/count_tokens": {"model": "nano", "messages": say},
        "/api/chat": {"model": "nano", "messages": say, "options": {"num_predict": 3}},
        "/v1/embeddings": {"input": "a"},
        "/v1/rerank": {"query": "a", "documents": ["b"]},
        "/tokenize": {"prompt": "a"},
        "/detokenize": {"tokens": [1]},
    }
    return bodies.get(path, {})


def routes(served: Served) -> Iterator[tuple[str, str]]:
    """Every method and path that the app has."""
    for route in served.app.routes:  # type: ignore[attr-defined]
        path = route.path.replace("{reply}", "chatcmpl-1").replace("{model:path}", "nano")
        for method in sorted(route.methods):
            yield method, path


def fields_of(document: dict[str, Any], path: str) -> list[str]:
    """The fields that the description has for a route's body."""
    body = document["paths"].get(path, {}).get("post", {}).get("requestBody", {})
    schema = body.get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return sorted({*schema.get("properties", {}), *base_of(path), "stream", LONE})


class Asking:
    """A client that judges every answer; `asked` counts them."""

    def __init__(self, served: Served):
        self._address = urlsplit(served.url).netloc
        self._open: http.client.HTTPConnection | None = None
        self.asked = 0

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
        raw = None if body is None else body.encode("utf-8", "surrogatepass")
        for attempt in (1, 2):
            try:
                self._open = self._open or http.client.HTTPConnection(self._address, timeout=120)
                self._open.request(method, path, raw, {"content-type": "application/json", **headers})
                answer = self._open.getresponse()
                content = answer.read()
                break
            except (ConnectionError, http.client.HTTPException):
                self._open = None
                assert attempt == 1, f"{method} {path} {body!r:.300} got no answer twice"
        self.asked += 1
        assert answer.status not in WRONG, f"{answer.status} for {method} {path} {body!r:.300}: {content!r:.300}"
        if answer.status == 503 and path not in MAY_BE_BUSY:
            assert answer.headers["retry-after"], f"{method} {path} {body!r:.300}"
        return answer.status, content


def check_alive(asking: Asking) -> None:
    body = {"prompt": "1+1", "max_tokens": 2, "temperature": 0}
    status, content = asking.ask("POST", "/v1/completions", json.dumps(body))
    assert status == 200
    assert json.loads(content)["choices"][0]["finish_reason"] in ("length", "stop")


def test_every_field_of_every_route_with_every_kind_of_value(nano_model: Model) -> None:
    with running(nano_model, max_tokens=8) as served:
        asking = Asking(served)
        document = json.loads(asking.ask("GET", "/openapi.json")[1])
        for method, path in routes(served):
            if method != "POST":
                continue
            for field in fields_of(document, path):
                for value in VALUES:
                    for stream in (False, True) if field in ("messages", "input", "tools", "prompt") else (False,):
                        asked = {**base_of(path), field: value, **({"stream": True} if stream else {})}
                        status, content = asking.ask("POST", path, json.dumps(asked, ensure_ascii=True))
                        if stream and status == 200:
                            assert content.rstrip(), f"{path} {asked!r:.300} broke off"
            check_alive(asking)
        print(f"{asking.asked} requests")


BODIES = [
    "",
    "null",
    "[]",
    "5",
    '"a"',
    "{",
    "{}",
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"messages": 1e400}',
    '{"max_tokens": 1e400}',
    '{"prompt": "\\ud800"}',
    '{"\\ud800": 1}',
    "\ufeff{}",
    "\x00",
    '{"prompt": "a", "prompt": "b"}',
    '{"max_tokens": ' + "9" * 5000 + "}",
]


def test_every_route_with_bodies_and_methods_that_are_none_of_its(nano_model: Model) -> None:
    with running(nano_model, max_tokens=8) as served:
        asking = Asking(served)
        for path in sorted({path for _, path in routes(served)} | {"/no", "/v1/", "//", "/v1/models/%ff", "/%00"}):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"):
                for body in BODIES if method == "POST" else [None, "{}"]:
                    asking.ask(method, path, body)
            for origin in ("http://[", "null", "http://a b", "x" * 5000, "https://[::1]:99999"):
                asking.ask("POST", path, "{}", origin=origin)
                asking.ask("OPTIONS", path, None, origin=origin, **{"access-control-request-method": "POST"})
            for kind in ("text/plain", "multipart/form-data", "application/json; charset=utf-7", "\xff", ""):
                asking.ask("POST", path, "{}", **{"content-type": kind})
        check_alive(asking)
        print(f"{asking.asked} requests")


HEADS = [
    b"",
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /health HTTP/1.1\r\nhost: [\r\n\r\n",
    b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{",
    b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n" * 50,
    b"GET /health HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
]


def raw(served: Served, content: bytes) -> bytes:
    """What comes back for bytes on a socket, until the server closes or a second passes."""
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), timeout=1.0) as connection:
        found = b""
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                found += piece
        except (TimeoutError, ConnectionError):
            pass
        return found


def test_bytes_that_are_no_request_do_no_harm(nano_model: Model) -> None:
    chance = random.Random(0)
    with running(nano_model, max_tokens=8) as served:
        asking = Asking(served)
        damaged = [bytes(chance.choices(range(256), k=chance.randrange(1, 400))) for _ in range(100)]
        whole = HEADS[6]
        for _ in range(100):
            at = chance.randrange(len(whole))
            damaged.append(whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :])
        for content in [*HEADS, *damaged]:
            found = raw(served, content)
            for line in found.split(b"\r\n"):
                if line.startswith(b"HTTP/1."):
                    assert int(line.split()[1]) not in WRONG, (content[:200], found[:300])
        check_alive(asking)


def judge(operation: Any, asking: Asking) -> None:
    """Ask what schemathesis makes up for a route."""
    from hypothesis import HealthCheck, Phase, given, settings

    path = operation.path.replace("{model}", "nano").replace("{reply}", "chatcmpl-1")

    @given(case=operation.as_strategy())
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    def judged(case: Any) -> None:
        body = json.dumps(case.body) if isinstance(case.body, dict | list | str | int | float | bool) else None
        asking.ask(operation.method.upper(), path, body)

    judged()


def test_schemathesis_finds_no_mistake_of_ours(nano_model: Model) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install schemathesis")
    with running(nano_model, max_tokens=8) as served:
        asking = Asking(served)
        schema = schemathesis.openapi.from_dict(json.loads(asking.ask("GET", "/openapi.json")[1]))
        for found in schema.get_all_operations():
            judge(found.ok(), asking)
        check_alive(asking)
        print(f"{asking.asked} requests")

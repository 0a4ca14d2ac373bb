"""Who is let in, and what is written about it."""

import json
import socket
from typing import Any

import httpx
import pytest

from thinkport.runtime.errors import InputError
from thinkport.runtime.server import ServerSettings
from thinkport.runtime.server.interface.page import is_built

KEY = "a-key-of-some-length"
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "secret words"}], "max_tokens": 2}


def get(served, path="/health", **headers):
    return httpx.get(f"{served.url}{path}", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "a b"])
def test_a_name_that_the_server_does_not_have_is_refused(served, host) -> None:
    assert get(served, Host=host).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80", "192.168.1.7"])
def test_addresses_and_localhost_are_let_in(served, host) -> None:
    assert get(served, Host=host).status_code == 200


def test_pages_of_other_origins_are_refused_and_allowed_ones_may_read(serve) -> None:
    served = serve(allow_origins=("null", "https://app.example"))
    assert get(served, Origin="https://evil.example").status_code == 403
    assert get(served, Origin=served.url).status_code == 200
    allowed = get(served, Origin="https://app.example")
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    preflight = httpx.options(f"{served.url}/v1/chat/completions", headers={"Origin": "null"})
    assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, "GET, POST")


def test_other_sites_may_open_the_page_but_call_nothing(served) -> None:
    assert get(served, "/", Sec_Fetch_Site="cross-site").status_code == (200 if is_built() else 404)
    assert get(served, "/v1/models", Sec_Fetch_Site="cross-site").status_code == 403


def test_a_key_is_asked_of_everything_but_page_and_health(serve) -> None:
    served = serve(api_key=KEY)
    assert get(served).status_code == 200
    assert get(served, "/").status_code == (200 if is_built() else 404)
    for path in ("/v1/models", "/metrics"):
        assert get(served, path).status_code == get(served, path, Authorization="Bearer no").status_code == 401
        assert get(served, path, Authorization=f"Bearer {KEY}").status_code == 200


def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(serve) -> None:
    served = serve(max_body=2000)
    large = json.dumps({"messages": [{"role": "user", "content": "a" * 5000}]}).encode()
    for content in (large, iter([large[:1500], large[1500:]])):
        assert httpx.post(f"{served.url}/v1/chat/completions", content=content).status_code == 413


def test_too_many_messages_are_refused(serve) -> None:
    served = serve(max_messages=2)
    answer = httpx.post(f"{served.url}/v1/chat/completions", json={"messages": CHAT["messages"] * 3})
    assert (answer.status_code, "at most 2" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"messages": NaN}', b'{"messages": "x"}']
)
def test_what_is_no_request_is_a_clear_error(served, content) -> None:
    answer = httpx.post(f"{served.url}/v1/chat/completions", content=content)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_head_that_does_not_come_is_not_waited_for(serve) -> None:
    served = serve(header_seconds=0.5)
    for sent in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX:"):
        with socket.create_connection(("127.0.0.1", int(served.url.rsplit(":", 1)[1])), timeout=60) as connection:
            connection.sendall(sent)
            assert connection.recv(100) == b""


def test_a_body_that_does_not_come_is_not_waited_for(serve) -> None:
    served = serve(body_seconds=0.3)
    head = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(served.url.rsplit(":", 1)[1])), timeout=60) as connection:
        connection.sendall(head)
        assert b"408" in connection.recv(100)


def test_a_line_about_a_request_holds_neither_prompt_nor_key(serve, caplog) -> None:
    served = serve(api_key=KEY, log_requests=True)
    with caplog.at_level("INFO", "thinkport.server"):
        answer = httpx.post(
            f"{served.url}/v1/chat/completions?token={KEY}", json=CHAT, headers={"Authorization": f"Bearer {KEY}"}
        )
        get(served, "/secret/words")
    assert answer.status_code == 200
    assert "POST /v1/chat/completions 200" in caplog.text
    assert "secret" not in caplog.text
    assert KEY not in caplog.text


def test_figures_count_routes_tokens_and_ends(serve) -> None:
    served = serve()
    httpx.post(f"{served.url}/v1/chat/completions", json={**CHAT, "enable_thinking": False})
    get(served, "/no/such")
    text = get(served, "/metrics").text
    assert 'thinkport_requests_total{route="/v1/chat/completions",status="200"} 1.0' in text
    assert 'thinkport_requests_total{route="other",status="404"} 1.0' in text
    assert 'thinkport_thinking_ends_total{end="off"} 1.0' in text
    assert 'thinkport_tokens_total{kind="answer"}' in text


def test_tokens_go_there_and_back(served) -> None:
    for body in ({"prompt": "2*3=<think>"}, {"content": "2*3=<think>"}):
        tokens = httpx.post(f"{served.url}/tokenize", json=body).json()["tokens"]
        assert httpx.post(f"{served.url}/detokenize", json={"tokens": tokens}).json()["prompt"] == "2*3=<think>"
    plain = httpx.post(f"{served.url}/tokenize", json={"prompt": "2*3=<think>", "parse_special": False}).json()
    assert plain["count"] > len(tokens)
    messages = httpx.post(f"{served.url}/tokenize", json={"messages": CHAT["messages"]}).json()
    assert messages["count"] > 3
    assert httpx.post(f"{served.url}/detokenize", json={"tokens": [10**9]}).status_code == 400


def test_health_says_what_runs_and_why(served) -> None:
    health = get(served).json()
    assert (health["status"], health["provider"]["chosen"]["graph"]) == ("ok", "cpu.onnx")
    assert health["provider"]["reason"]


def test_an_address_that_others_reach_needs_a_key() -> None:
    with pytest.raises(InputError, match="no API key"):
        ServerSettings(host="0.0.0.0")
    assert ServerSettings(host="0.0.0.0", api_key=KEY)
    assert ServerSettings(host="::1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": -1},
        {"max_rows": 0},
        {"queue": -1},
        {"api_key": "short"},
        {"max_tokens": 0},
        {"grace_seconds": -1},
        {"header_seconds": 0},
        {"body_seconds": float("nan")},
        {"write_seconds": 0},
        {"port": "8000"},
        {"max_rows": "3"},
        {"max_rows": 2.5},
        {"queue": True},
        {"max_body": None},
        {"max_tokens": float("nan")},
        {"body_seconds": "30"},
        {"idle_seconds": False},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(InputError):
        ServerSettings(**wrong)


def test_the_page_asks_for_nothing_from_elsewhere(served, page_built) -> None:
    for path in ("/", "/icon.svg"):
        text = get(served, path).text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text


@pytest.mark.parametrize("path", ["/", "/icon.svg", "/assets/worker.js", "/health", "/v1/nothing"])
def test_every_response_has_the_policy(served, path) -> None:
    assert "default-src 'none'" in get(served, path).headers["content-security-policy"]


def test_the_description_tells_every_route_that_takes_a_body(served) -> None:
    document = get(served, "/openapi.json").json()
    posts = {path for path, verbs in document["paths"].items() if "post" in verbs}
    assert {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize"} <= posts
    fields = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert {"messages", "thinking_token_budget", "reasoning_effort", "response_format"} <= set(fields)

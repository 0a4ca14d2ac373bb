"""What clients get wrong, and what they send along: each is told in words that they know, and none is a 500."""

import gzip
import json
from typing import Any

import httpx
import pytest

from thinkport.runtime.errors import InputError
from thinkport.runtime.server import ServerSettings

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "What is 2*3?"}], "max_tokens": 4}
ADD: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def post(served, route="chat/completions", **fields) -> httpx.Response:
    return httpx.post(f"{served.url}/v1/{route}", json=fields, timeout=60)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("chat/completions", {"messages": [{"role": "user", "content": "hi " * 20_000}]}),
        ("completions", {"prompt": "hi " * 20_000}),
        ("completions", {"prompt": [1] * 20_000}),
        ("responses", {"input": "hi " * 20_000}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_is_told_in_openais_words(served, route, fields, stream) -> None:
    answer = post(served, route, stream=stream, **fields)
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "context_length_exceeded"
    assert "maximum context length" in error_of(answer)["message"]


def test_codes_are_texts_or_nothing(serve) -> None:
    served = serve(api_key="a-key-of-some-length")
    key = {"Authorization": "Bearer a-key-of-some-length"}
    answers = {
        "invalid_api_key": httpx.get(f"{served.url}/v1/models"),
        "model_not_found": httpx.post(f"{served.url}/v1/chat/completions", headers=key, json={**ASKED, "model": "x"}),
        None: httpx.post(f"{served.url}/v1/chat/completions", headers=key, json={**ASKED, "top_p": 7}),
    }
    assert {code: error_of(answer)["code"] for code, answer in answers.items()} == {code: code for code in answers}


@pytest.mark.parametrize("stream", [False, True])
def test_more_tokens_than_the_server_gives_are_cut_and_said(serve, stream) -> None:
    served = serve(max_tokens=2)
    answer = post(served, **ASKED | {"max_tokens": 50, "stream": stream})
    assert answer.status_code == 200
    assert answer.headers["x-thinkport-note"] == "max_tokens is 2, the most that this server gives, and not 50"
    if not stream:
        assert answer.json()["usage"]["completion_tokens"] <= 2
    assert "x-thinkport-note" not in post(served, **ASKED | {"max_tokens": 2}).headers


@pytest.mark.parametrize("route", ["chat/completions", "responses"])
def test_tools_that_run_elsewhere_are_left_out_and_said(served, route) -> None:
    asked = {"max_output_tokens": 4, "input": "hi"} if route == "responses" else ASKED
    others = [{"type": "web_search"}, {"type": "custom", "custom": {"name": "x"}}, {"type": "ü\n"}]
    answer = post(served, route, tools=[*others, ADD], **asked)
    assert answer.status_code == 200, answer.text
    note = answer.headers["x-thinkport-note"]
    assert [kind in note for kind in ("'custom'", "'web_search'", r"'\xfc\n'", "function")] == [True, True, True, False]
    assert "x-thinkport-note" not in post(served, route, tools=[ADD], **asked).headers


def test_a_reference_to_an_item_of_the_last_responses_is_that_item(served) -> None:
    question = {"role": "user", "content": "What is 2*3?"}
    fields = {"max_output_tokens": 200, "reasoning": {"effort": "low"}}
    first = post(served, "responses", input=[question], **fields).json()
    items = first["output"]
    assert {item["type"] for item in items} == {"reasoning", "message"}
    again = {"role": "user", "content": "And 2*4?"}
    asked = [question, *({"type": "item_reference", "id": item["id"]} for item in items), again]
    told, sent = (
        post(served, "responses", input=given, max_output_tokens=1, reasoning={"effort": "none"}).json()["usage"]
        for given in (asked, [question, *items, again])
    )
    assert told["input_tokens"] == sent["input_tokens"]
    unknown = post(served, "responses", input=[{"type": "item_reference", "id": "msg_0"}])
    assert (unknown.status_code, "send the item itself" in error_of(unknown)["message"]) == (404, True)


@pytest.mark.parametrize("origin", ["http://[", "http://]", "null", "", "http://[::1", "//"])
def test_an_origin_that_is_none_is_refused_by_name(served, origin) -> None:
    answer = httpx.get(f"{served.url}/v1/models", headers={"Origin": origin})
    assert (answer.status_code, error_of(answer)["type"]) == (403, "permission_error")


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_object", "schema": {"type": "object", "properties": {"a": {"const": 7}}, "required": ["a"]}},
        {"type": "json_schema", "schema": {"const": {"a": 7}}},
    ],
)
def test_json_is_held_to_a_schema_in_every_spelling(served, form) -> None:
    answer = post(served, **ASKED | {"max_tokens": 40, "enable_thinking": False, "response_format": form})
    assert answer.json()["choices"][0]["message"]["content"].replace(" ", "").startswith('{"a":7')


def test_a_schema_that_is_none_is_refused(served) -> None:
    answer = post(served, **ASKED, response_format={"type": "json_object", "schema": "x"})
    assert (answer.status_code, "schema is no object" in error_of(answer)["message"]) == (400, True)


def test_a_page_of_an_allowed_origin_may_send_what_its_client_sends(serve) -> None:
    served = serve(allow_origins=("https://app.example",))
    asked = {"Origin": "https://app.example", "Access-Control-Request-Headers": "x-stainless-os,x-stainless-lang"}
    preflight = httpx.options(f"{served.url}/v1/chat/completions", headers=asked)
    assert preflight.headers["access-control-allow-headers"] == "x-stainless-os,x-stainless-lang"
    answer = httpx.post(f"{served.url}/v1/chat/completions", json=ASKED, headers={"Origin": "https://app.example"})
    assert "x-thinkport-reply" in answer.headers["access-control-expose-headers"]


def test_every_origin_is_let_in_with_a_key_only(serve) -> None:
    with pytest.raises(InputError, match="lets in every page"):
        ServerSettings(allow_origins=("*",))
    served = serve(allow_origins=("*",), api_key="a-key-of-some-length")
    page = {"Origin": "https://any.example"}
    assert httpx.get(f"{served.url}/v1/models", headers=page).status_code == 401
    answer = httpx.get(f"{served.url}/v1/models", headers=page | {"Authorization": "Bearer a-key-of-some-length"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://any.example")
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_schema", "schema": {"$ref": "#"}},
        {"type": "regex", "pattern": "a{1000000}"},
        {"type": "regex", "pattern": "(a{500}){500}"},
        {"type": "json_schema", "schema": {"type": "object", "properties": {f"p{at}": {} for at in range(5000)}}},
        {"type": "json_schema", "schema": {"allOf": [{"$ref": "#/x"}], "x": {"allOf": [{"$ref": "#"}]}}},
        {"type": "choice", "choice": [str(at) for at in range(20_000)]},
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_format_that_is_too_much_is_the_clients_mistake(served, form, stream) -> None:
    asked = ASKED | {"max_tokens": 8, "enable_thinking": False, "stream": stream}
    answer = post(served, **asked, response_format=form)
    assert answer.status_code in (200, 400)
    assert "server_error" not in answer.text
    assert httpx.get(f"{served.url}/health").status_code == 200


def test_what_is_far_too_long_is_refused_before_all_of_it_is_encoded(served, monkeypatch) -> None:
    tokenizer, encoded = served.service.model.tokenizer, []
    encode = type(tokenizer).encode

    def encoding(self, text: str) -> list[int]:
        encoded.append(len(text))
        return encode(self, text)

    monkeypatch.setattr(type(tokenizer), "encode", encoding)
    answer = post(served, messages=[{"role": "user", "content": "one two three " * 250_000}])
    assert (answer.status_code, error_of(answer)["code"]) == (400, "context_length_exceeded")
    assert sum(encoded) < 1_000_000


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("chat/completions", {**ASKED, "functions": None, "function_call": None, "audio": None, "prediction": None}),
        ("chat/completions", {**ASKED, "stream": True, "stream_options": {"include_usage": True, "later": None}}),
        ("completions", {"prompt": "2*3=", "max_tokens": 2, "response_format": None}),
        ("responses", {"input": "2*3?", "max_output_tokens": 4, "conversation": None, "max_tool_calls": None}),
        ("messages", {**ASKED, "mcp_servers": None, "container": None}),
    ],
)
def test_a_field_that_is_null_asks_for_nothing_whatever_its_name(served, route, fields) -> None:
    assert post(served, route, **fields).status_code == 200


def test_a_field_that_has_a_value_and_no_meaning_is_refused(served) -> None:
    assert error_of(post(served, **ASKED, functions=[]))["param"] == "functions"
    assert "should be 'text'" in error_of(post(served, **ASKED, modalities=["text", "audio"]))["message"]


@pytest.mark.parametrize("coding", ["gzip", "GZIP, br", "x"])
def test_a_compressed_body_is_named_so(served, coding) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    body = gzip.compress(json.dumps(ASKED).encode())
    answer = httpx.post(f"{served.url}/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding" in error_of(answer)["message"]


def test_plain_json_is_read_whatever_its_content_encoding_is_called(served) -> None:
    answer = httpx.post(f"{served.url}/tokenize", json={"content": "hi"}, headers={"Content-Encoding": "utf-8"})
    assert answer.status_code == 200


def test_an_error_that_no_field_has_alone_begins_with_its_words(served) -> None:
    answer = httpx.post(f"{served.url}/tokenize", json={})
    assert error_of(answer)["message"].startswith("expected exactly one of")
    assert error_of(answer)["param"] is None


@pytest.mark.parametrize(
    ("route", "field", "value", "says", "param"),
    [
        ("completions", "prompt", 5, "prompt: Input should be a valid string or a valid list", "prompt"),
        ("completions", "prompt", [[1, 2], ["a"]], "prompt.1.0: Input should be a valid integer", "prompt.1.0"),
        ("chat/completions", "stop", ["a", 1], "stop.1: Input should be a valid string", "stop.1"),
        (
            "chat/completions",
            "stream_options",
            {"include_usage": "x"},
            "stream_options.include_usage: Input should be a valid boolean",
            "stream_options.include_usage",
        ),
    ],
)
def test_a_field_of_several_types_is_named_as_the_client_wrote_it(served, route, field, value, says, param) -> None:
    asked = {"prompt": "a"} if route == "completions" else {"messages": ASKED["messages"]}
    error = error_of(httpx.post(f"{served.url}/v1/{route}", json=asked | {field: value}))
    assert (error["message"], error["param"]) == (says, param)


def test_a_negative_seed_draws_the_same_reply_again(served) -> None:
    body = {"prompt": "2*3=", "max_tokens": 8, "temperature": 1.5, "seed": -7}
    replies = [httpx.post(f"{served.url}/v1/completions", json=body, timeout=60).json() for _ in range(2)]
    assert replies[0]["choices"][0]["text"] == replies[1]["choices"][0]["text"]


def test_minus_one_is_no_seed_to_ollamas_clients(served) -> None:
    body = {"messages": ASKED["messages"], "stream": False, "options": {"num_predict": 2, "seed": -1}}
    assert httpx.post(f"{served.url}/api/chat", json=body, timeout=60).status_code == 200

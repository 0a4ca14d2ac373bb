"""Anthropic's own client, whose interface agents speak: thoughts, tools, stops, streams and errors."""

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, AuthenticationError, BadRequestError, NotFoundError

QUESTION: Any = {"role": "user", "content": "What is 86*57?"}
ON, OFF = {"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"}
GREEDY = {"extra_body": {"temperature": 0.0}}
# Closed, so that the reference model, which has seen no tools, ends a call.
SCHEMA = {"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"], "additionalProperties": False}
NOTE = {"name": "note", "description": "Notes.", "input_schema": SCHEMA}


@pytest.fixture
def client(served) -> Iterator[Anthropic]:
    with Anthropic(base_url=served.url, api_key="any", max_retries=0, timeout=60) as one:
        yield one


def test_a_thought_and_an_answer_are_blocks(client) -> None:
    said = client.messages.create(model="nano", max_tokens=500, messages=[QUESTION], thinking=ON)
    assert [block.type for block in said.content] == ["thinking", "text"]
    assert said.content[1].text.strip() == "4902"
    assert (said.stop_reason, said.stop_sequence, said.role) == ("end_turn", None, "assistant")
    again = client.messages.create(model="nano", max_tokens=500, messages=[QUESTION], thinking=ON)
    assert again.usage.cache_read_input_tokens > 0
    assert again.usage.input_tokens + again.usage.cache_read_input_tokens == said.usage.input_tokens + (
        said.usage.cache_read_input_tokens or 0
    )


def test_off_is_off(client) -> None:
    said = client.messages.create(model="nano", max_tokens=50, messages=[QUESTION], thinking=OFF)
    assert [block.type for block in said.content] == ["text"]


def test_a_stream_adds_up_to_the_whole(client) -> None:
    asked = {
        "model": "nano",
        "max_tokens": 500,
        "messages": [QUESTION],
        "thinking": ON,
        "extra_body": {"temperature": 0.0},
    }
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert [block.to_dict() for block in final.content] == [block.to_dict() for block in whole.content]
    assert "".join(texts) == whole.content[1].text
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)


def test_a_turn_with_thought_tool_and_result_goes_back(client) -> None:
    asked = {"model": "nano", "max_tokens": 60, "thinking": OFF, "tools": [NOTE]}
    called = client.messages.create(**asked, messages=[QUESTION], tool_choice={"type": "tool", "name": "note"})
    assert called.stop_reason == "tool_use"
    call = called.content[-1]
    assert (call.type, call.name, call.input) == ("tool_use", "note", {"n": 7})
    with client.messages.stream(**asked, messages=[QUESTION], tool_choice={"type": "any"}) as stream:
        streamed = stream.get_final_message().content[-1]
    assert (streamed.type, streamed.name, streamed.input) == ("tool_use", "note", {"n": 7})
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "noted"}]}
    history = [
        QUESTION,
        {"role": "assistant", "content": [thought, {"type": "text", "text": "I note."}, call.to_dict()]},
        {"role": "user", "content": [result, {"type": "text", "text": "What is 2*3?"}]},
    ]
    said = client.messages.create(**asked, messages=history, system=[{"type": "text", "text": "Be brief."}])
    assert said.role == "assistant"
    count = client.messages.count_tokens(model="nano", messages=history, tools=[NOTE], system="Be brief.", thinking=OFF)
    assert count.input_tokens == said.usage.input_tokens + said.usage.cache_read_input_tokens


def test_a_stop_sequence_and_a_limit_are_told(client) -> None:
    asked = {"model": "nano", "messages": [QUESTION], "thinking": OFF, **GREEDY}
    whole = client.messages.create(max_tokens=50, **asked).content[0].text
    stop = whole.strip()[1]
    said = client.messages.create(max_tokens=50, stop_sequences=["never", stop], **asked)
    assert (said.stop_reason, said.stop_sequence) == ("stop_sequence", stop)
    assert said.content[0].text == whole.split(stop)[0]
    assert client.messages.create(max_tokens=1, **asked).stop_reason == "max_tokens"


def test_errors_are_the_clients_own(serve, client) -> None:
    for wrong in (
        {"thinking": {"type": "enabled", "budget_tokens": 10**9}},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
        {"messages": [{"role": "user", "content": "hi " * 20_000}]},
        {"tool_choice": {"type": "tool"}},
    ):
        with pytest.raises(BadRequestError) as told:
            client.messages.create(**{"model": "nano", "max_tokens": 5, "messages": [QUESTION], **wrong})
        body: Any = told.value.body
        assert body["type"] == "error"
    with pytest.raises(NotFoundError):
        client.messages.create(model="claude", max_tokens=5, messages=[QUESTION])
    with (
        Anthropic(base_url=serve(api_key="a-key-of-some-length").url, api_key="no", max_retries=0) as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.messages.create(model="nano", max_tokens=5, messages=[QUESTION])


def test_tools_of_a_provider_are_left_out_and_said(client) -> None:
    tools = [NOTE, {"type": "web_search_20250305", "name": "web_search"}]
    raw = client.messages.with_raw_response.create(model="nano", max_tokens=4, messages=[QUESTION], tools=tools)
    assert "web_search_20250305" in raw.headers["x-thinkport-note"]

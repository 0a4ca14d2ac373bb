"""Ollama's own client: thoughts switched by `think`, tools, formats, options and streams."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ollama import Client, ResponseError

QUESTION = {"role": "user", "content": "What is 86*57?"}
SCHEMA = {"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"], "additionalProperties": False}
NOTE = {"type": "function", "function": {"name": "note", "description": "Notes.", "parameters": SCHEMA}}
GREEDY: dict[str, Any] = {"temperature": 0.0, "num_ctx": 4096}


@pytest.fixture
def client(served) -> Iterator[Client]:
    with Client(host=served.url) as one:
        yield one


def test_think_switches_and_the_parts_come_apart(client) -> None:
    said = client.chat("nano", [QUESTION], think=True)
    assert said.message.content.strip() == "4902"
    assert said.message.thinking
    assert (said.done, said.done_reason) == (True, "stop")
    assert said.eval_count > 4
    assert client.chat("nano", [QUESTION], think=False).message.thinking is None
    assert client.chat("nano", [QUESTION], think="low").message.thinking


def test_a_stream_adds_up_to_the_whole(client) -> None:
    whole = client.chat("nano", [QUESTION], think=True, options=GREEDY)
    chunks = list(client.chat("nano", [QUESTION], think=True, options=GREEDY, stream=True))
    assert "".join(one.message.content for one in chunks) == whole.message.content
    assert "".join(one.message.thinking or "" for one in chunks) == whole.message.thinking
    assert [one.done for one in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].eval_count == whole.eval_count


def test_formats_stops_and_limits_hold(client) -> None:
    held = client.chat("nano", [QUESTION], think=False, format=SCHEMA, options={"num_predict": 40})
    assert json.loads(held.message.content) == {"n": 7}
    assert client.chat("nano", [QUESTION], think=False, options={"num_predict": 1}).done_reason == "length"
    whole = client.chat("nano", [QUESTION], think=False, options=GREEDY).message.content
    stopped = client.chat("nano", [QUESTION], think=False, options={**GREEDY, "stop": [whole.strip()[1]]})
    assert stopped.message.content == whole.split(whole.strip()[1])[0]


def test_calls_and_results_go_back(client) -> None:
    call = {"function": {"name": "note", "arguments": {"n": 7}}}
    history = [
        QUESTION,
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_name": "note", "content": "noted"},
    ]
    said = client.chat("nano", history, tools=[NOTE], think=False, options={"num_predict": 8})
    assert said.message.role == "assistant"


def test_what_is_served_is_listed_and_mistakes_are_told(client) -> None:
    assert [one.model for one in client.list().models] == ["nano"]
    for wrong in ({"options": {"mirostat": 1}}, {"options": {"num_predict": 0}}, {"options": {"temperature": 9.0}}):
        with pytest.raises(ResponseError) as told:
            client.chat("nano", [QUESTION], **wrong)
        assert told.value.status_code == 400
    with pytest.raises(ResponseError) as told:
        client.chat("llama3", [QUESTION])
    assert told.value.status_code == 404

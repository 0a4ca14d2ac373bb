"""Several replies to one request: what ends one of them leaves the others alone, what ends the request ends all."""

from collections.abc import Iterator

import httpx
import pytest
from tests.runtime.server.conftest import Served, running


@pytest.fixture
def talking(new_model) -> Iterator[Served]:
    with running(new_model("one two three four"), max_rows=1) as served:
        yield served


@pytest.mark.parametrize("route", ["chat/completions", "completions"])
def test_a_stop_string_ends_its_own_choice_only(talking: Served, route: str) -> None:
    asked = {"messages": [{"role": "user", "content": "hi"}]} if route.startswith("chat") else {"prompt": "hi"}
    prompt = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    body = (asked if "messages" in asked else {"prompt": prompt}) | {"n": 3, "stop": " three", "max_tokens": 100}
    reply = httpx.post(f"{talking.url}/v1/{route}", json=body, timeout=60).json()
    said = [one["message"]["content"] if "message" in one else one["text"] for one in reply["choices"]]
    assert said == ["one two"] * 3
    assert [one["finish_reason"] for one in reply["choices"]] == ["stop"] * 3

"""OpenAI's own Python client against the server: what it sends is taken, what comes back it can read."""

import json
from typing import Any

import httpx
import openai
import pytest

QUESTION = [{"role": "user", "content": "What is 86*57?"}]
THINK = {"enable_thinking": True}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"enum": [1, 2]}},
            "required": ["a"],
            "additionalProperties": False,
        },
    },
}


def ask(served, **options):
    return served.client().chat.completions.create(
        **{"model": "nano", "messages": QUESTION, "seed": 1, "max_tokens": 300, **options}
    )


def test_a_reply_has_answer_thought_and_figures(served) -> None:
    reply = ask(served, extra_body=THINK)
    choice, usage = reply.choices[0], reply.usage
    assert choice.message.content == "4902"
    assert choice.message.reasoning_content == choice.message.reasoning
    assert "6*7=42" in choice.message.reasoning_content
    assert (choice.finish_reason, choice.thinking["end"]) == ("stop", "natural")
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert reply.timings["predicted_per_second"] > 0


def test_a_stream_says_the_same_as_the_whole(served) -> None:
    whole = ask(served, extra_body=THINK)
    chunks = list(ask(served, extra_body=THINK, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thought == whole.choices[0].message.reasoning_content
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert [delta.role for delta in deltas if delta.role] == ["assistant"]
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert not chunks[-1].choices
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_a_stream_says_how_fast_it_goes_where_that_is_asked_for(served) -> None:
    chunks = list(ask(served, extra_body={**THINK, "timings_per_token": True}, stream=True))
    live = [chunk.timings for chunk in chunks[1:-1]]
    thought = [timings["thinking_n"] for timings in live if "thinking_n" in timings]
    answered = [timings["predicted_n"] for timings in live if "predicted_n" in timings]
    last = chunks[-1].timings
    assert thought == sorted(thought)
    assert last["thinking_n"] - thought[-1] in (0, 1)  # a last token of blanks gives no piece
    assert answered[-1] == last["predicted_n"]
    assert live[0]["thinking_per_second"] is None
    assert live[-1]["predicted_per_second"] > 0
    plain = ask(served, extra_body=THINK, stream=True)
    assert sum(hasattr(chunk, "timings") for chunk in plain) == 1


def test_the_second_request_finds_its_prompt_in_the_cache(served) -> None:
    ask(served)
    assert ask(served).usage.prompt_tokens_details.cached_tokens > 10


def test_a_thought_in_the_history_is_taken_under_either_name(served) -> None:
    for name in ("reasoning_content", "reasoning"):
        said = {"role": "assistant", "content": "4902", name: "6*7=42"}
        assert ask(served, messages=[*QUESTION, said, *QUESTION]).choices[0].message.content


@pytest.mark.parametrize(
    "content", ["What is 86*57?", [{"type": "text", "text": "What is "}, {"type": "text", "text": "86*57?"}]]
)
def test_content_may_be_a_text_or_parts_of_text(served, content) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": content}]
    expected = ask(served, messages=[{"role": "system", "content": "Be brief."}, *QUESTION])
    assert ask(served, messages=messages).choices[0].message.content == expected.choices[0].message.content


def test_several_replies_are_numbered_and_drawn_from_seeds_of_their_own(served) -> None:
    reply = ask(
        served, n=3, temperature=2.0, top_p=1.0, extra_body={"top_k": 0, "enable_thinking": False}, max_tokens=12
    )
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in reply.choices}) > 1
    again = ask(
        served, n=3, temperature=2.0, top_p=1.0, extra_body={"top_k": 0, "enable_thinking": False}, max_tokens=12
    )
    assert [choice.message.content for choice in again.choices] == [choice.message.content for choice in reply.choices]


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_answer_before_itself(served, stream) -> None:
    options = {"stop": ["02"], "extra_body": THINK, "stream": stream}
    if stream:
        chunks = list(ask(served, **options))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        finish = chunks[-1].choices[0].finish_reason
    else:
        text, finish = (choice := ask(served, **options).choices[0]).message.content, choice.finish_reason
    assert (text.strip(), finish) == ("49", "stop")


def test_logprobs_are_those_of_the_answers_tokens(served) -> None:
    noted = ask(served, extra_body=THINK, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert "".join(one.token for one in noted).strip() == "4902"
    for one in noted:
        assert one.logprob <= 0
        assert [top.logprob for top in one.top_logprobs] == sorted(
            (top.logprob for top in one.top_logprobs), reverse=True
        )


def test_an_answer_is_held_to_a_schema(served) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = ask(served, response_format=form, max_tokens=100, extra_body={"enable_thinking": False})
    assert isinstance(json.loads(answer.choices[0].message.content)["n"], int)


def test_a_required_tool_is_called_and_its_result_taken(served) -> None:
    asked = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "temperature": 0}
    reply = ask(served, **asked, reasoning_effort="none")
    (call, *_) = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, type(json.loads(call.function.arguments)["a"])) == ("add", int)
    said = {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}
    result = {"role": "tool", "tool_call_id": call.id, "content": [{"type": "text", "text": "7"}]}
    assert ask(served, messages=[*QUESTION, said, result], tools=[TOOL]).choices


def test_a_streamed_call_is_whole_in_one_delta(served) -> None:
    chunks = ask(served, tools=[TOOL], tool_choice="required", stream=True, parallel_tool_calls=False)
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [(call.index, call.function.name) for call in calls] == [(0, "add")]


def test_completions_go_on_where_the_prompt_ends(served) -> None:
    client = served.client()
    whole = client.completions.create(model="nano", prompt="2*3=", max_tokens=4, seed=1, echo=True, logprobs=1)
    assert whole.choices[0].text.startswith("2*3=")
    prompt = len(served.service.model.tokenizer.encode("2*3="))
    noted = whole.choices[0].logprobs
    assert len(noted.tokens) == len(noted.text_offset) == prompt + 4  # the prompt's own come first
    assert "".join(noted.tokens) == whole.choices[0].text
    assert noted.text_offset[prompt] == len("2*3=")
    parts = client.completions.create(model="nano", prompt="2*3=", max_tokens=4, seed=1, stream=True)
    assert "2*3=" + "".join(part.choices[0].text for part in parts) == whole.choices[0].text


def test_an_echoed_prompt_has_its_log_probabilities(served) -> None:
    """As lm-evaluation-harness asks for them: ids in a list, one token of a reply."""
    ids = served.service.model.tokenizer.encode("What is 86*57? 4902")
    ask = {"model": "nano", "max_tokens": 1, "temperature": 0, "seed": 1234, "echo": True, "logprobs": 1}
    (choice,) = served.client().completions.create(prompt=[ids], **ask).choices
    noted = choice.logprobs
    scored = served.service.model.score(ids)
    assert noted.token_logprobs[0] is noted.top_logprobs[0] is None
    assert noted.token_logprobs[1:-1] == pytest.approx([one.logprob for one in scored.tokens[1:]], abs=1e-3)
    best = [max(top.values()) for top in noted.top_logprobs[1:-1]]
    greedy = [own == pytest.approx(most) for own, most in zip(noted.token_logprobs[1:-1], best, strict=True)]
    assert greedy == [one.greedy for one in scored.tokens[1:]]
    plain = served.client().completions.create(prompt=[ids], **{**ask, "echo": False}).choices[0]
    assert plain.text == choice.text.removeprefix("What is 86*57? 4902")
    streamed = served.client().completions.create(prompt=ids, **ask, stream=True)
    told = [
        one
        for chunk in streamed
        if chunk.choices and chunk.choices[0].logprobs
        for one in chunk.choices[0].logprobs.tokens
    ]
    assert told == noted.tokens


def test_a_response_has_reasoning_and_a_message(served) -> None:
    response = served.client().responses.create(model="nano", input="What is 86*57?", reasoning={"effort": "low"})
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.output_text.strip() == "4902"
    assert response.usage.output_tokens_details.reasoning_tokens > 0
    again = [{"role": "user", "content": "What is 86*57?"}, *response.output, {"role": "user", "content": "And 2*3?"}]
    assert served.client().responses.create(model="nano", input=again).status == "completed"


def test_a_streamed_response_is_the_sum_of_its_events(served) -> None:
    events = list(served.client().responses.create(model="nano", input="What is 86*57?", extra_body=THINK, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    thought = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")
    assert text == events[-1].response.output_text
    assert thought == events[-1].response.output[0].content[0].text


def test_a_response_calls_a_function_and_takes_its_output(served) -> None:
    tool = {"type": "function", **TOOL["function"]}
    client = served.client()
    response = client.responses.create(
        model="nano",
        input="Add.",
        tools=[tool],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        reasoning={"effort": "none"},
    )
    (call, *_) = [item for item in response.output if item.type == "function_call"]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "7"}
    history = [{"role": "user", "content": "Add."}, *response.output, output]
    assert client.responses.create(model="nano", input=history, tools=[tool], max_output_tokens=300).output


def test_there_is_one_model(served) -> None:
    client = served.client()
    assert [model.id for model in client.models.list()] == ["nano"]
    assert client.models.retrieve("nano").id == "nano"
    with pytest.raises(openai.NotFoundError, match="expected 'nano'"):
        ask(served, model="gpt-4")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"extra_body": {"tempreature": 1}}, "did you mean 'temperature'"),
        ({"extra_body": {"thinking_budget": -1}}, "from 0 to"),
        ({"reasoning_effort": "huge"}, "expected one of: none"),
        ({"reasoning_effort": "none", "extra_body": {"thinking_budget": 5}}, "leave one out"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "nothing else"),
        ({"messages": [{"role": "user", "content": "a " * 9000}]}, "context"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "sub"}}}, "unknown tool"),
        ({"frequency_penalty": 1}, "frequency_penalty: Not supported beside 0"),
        ({"logit_bias": {"1": 1}}, "logit_bias: Not supported: leave it empty"),
        ({"extra_body": {"think": "maybe"}}, "think is 'maybe', expected one of: true, false, none"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"n": 99}, "at most"),
    ],
)
def test_what_can_not_be_met_is_refused_with_the_reason(served, options, said) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        ask(served, **options)


@pytest.mark.parametrize("prompt", ["", [], [[]]])
def test_an_empty_prompt_is_refused_with_echoed_logprobs_too(served, prompt) -> None:
    body = {"prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 1}
    assert httpx.post(f"{served.url}/v1/completions", json=body).status_code == 400


@pytest.mark.parametrize("field", ['"metadata": {"a": 1e999}', '"user": "\\ud800"', '"reasoning": {"\\ud800": 1}'])
@pytest.mark.parametrize("stream", ["true", "false"])
def test_what_no_answer_could_repeat_is_refused_before_a_reply(served, field, stream) -> None:
    body = f'{{"input": "2*3=", "stream": {stream}, {field}}}'
    answer = httpx.post(f"{served.url}/v1/responses", content=body)
    assert answer.status_code == 400
    assert "surrogate pair" in answer.json()["error"]["message"]

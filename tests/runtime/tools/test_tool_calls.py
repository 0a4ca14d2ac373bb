"""Tools: checked when given, their calls read whatever a model writes, and written back into the history."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.tools.tool_calls import cut_call, message_calls
from thinkport.runtime.tools.toolbox import ToolBox, ToolChoice, ToolUse

ROOT = Path(__file__).resolve().parents[3]
NANO = ROOT / "artifacts" / "nano" / "chat_template.jinja"
QWEN3 = ROOT.parent / "shared" / "qwen3" / "tokenizer_config.json"

WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
    },
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def tool(**changes: Any) -> dict[str, Any]:
    return {"type": "function", "function": {**WEATHER, **changes}}


@pytest.fixture(scope="module")
def box() -> ToolBox:
    return ToolBox([tool(), {"name": "now"}, {"name": "note", "parameters": {"type": "object"}}])


@pytest.fixture(scope="module", params=["nano", "qwen3"])
def template(request) -> ChatTemplate:
    if request.param == "nano":
        return ChatTemplate.from_file(NANO, {})
    if not QWEN3.is_file():
        pytest.skip("Qwen3's own template is not beside the repository")
    return ChatTemplate(json.loads(QWEN3.read_text(encoding="utf-8"))["chat_template"], {})


def test_a_sound_call_has_a_name_arguments_and_no_problem(box) -> None:
    call = box.parse('\n{"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}\n')
    assert (call.name, call.arguments, call.problem) == ("get_weather", {"city": "Köln", "days": 2}, None)
    assert call.text.startswith("\n{")


def test_arguments_may_be_json_within_a_text(box) -> None:
    call = box.parse(json.dumps({"name": "get_weather", "arguments": '{"city": "Bonn"}'}))
    assert (call.arguments, call.problem) == ({"city": "Bonn"}, None)


def test_a_function_without_parameters_takes_an_empty_object(box) -> None:
    assert box.parse('{"name": "now", "arguments": {}}').problem is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ('{"name": "get_weather", "arguments": {"city": "Bonn"}', "not JSON"),
        ("[1]", "the call is a list"),
        ("null", "the call is null"),
        ("{}", "names no tool (its keys are none)"),
        ('{"name": 3, "arguments": {}}', "names no tool (its name is 3)"),
        ('{"name": "now"}', "has no arguments (its keys are name)"),
        ('{"name": "now", "arguments": [1]}', "$.arguments is a list"),
        ('{"name": "now", "arguments": null}', "$.arguments is null"),
        ('{"name": "now", "arguments": "{"}', "the text in $.arguments is not JSON"),
        ('{"name": "get_wether", "arguments": {}}', "no tool 'get_wether': did you mean 'get_weather'?"),
        ('{"name": "x", "arguments": {}}', "no tool 'x', expected one of: get_weather, now, note"),
        ('{"name": "get_weather", "arguments": {}}', "wrong at $: 'city' is a required property"),
        ('{"name": "get_weather", "arguments": {"city": 1}}', "wrong at $.city: 1 is not of type 'string'"),
        ('{"name": "get_weather", "arguments": {"city": "a", "days": 0}}', "wrong at $.days: 0 is less than"),
        ('{"name": "note", "arguments": {"x": NaN}}', "JSON has no NaN"),
        ('{"name": "note", "arguments": {"x": -Infinity}}', "JSON has no -Infinity"),
        ('{"name": "note", "arguments": {"x": 1e999}}', "number that can't be read"),
        ('{"name": "note", "arguments": {"x": ' + "9" * 5000 + "}}", "number that can't be read"),
        ('{"name": "note", "arguments": {"x": ' + "[" * 80 + "]" * 80 + "}}", "nested too deeply"),
        ('{"name": "note", "arguments": ' + '{"x": ' * 100_000 + "}" * 100_001 + "}", "nested too deeply"),
        ('{"name": "note", "arguments": {"x": "\\ud800"}}', "half a surrogate pair"),
    ],
)
def test_whatever_is_wrong_with_a_call_is_said_in_one_sentence(box, text, problem) -> None:
    call = box.parse(text)
    assert call.problem is not None
    assert problem in call.problem
    assert "\n" not in call.problem
    assert len(call.problem) < 400
    assert call.text == text


def test_a_refused_call_keeps_its_arguments_and_broken_json_its_name(box) -> None:
    assert box.parse('{"name": "get_weather", "arguments": {"city": 1}}').arguments == {"city": 1}
    broken = box.parse('{"name": "get_weather", "arguments": {"city": }}')
    assert (broken.name, broken.arguments) == ("get_weather", None)


def test_of_a_key_given_twice_the_last_counts(box) -> None:
    call = box.parse('{"name": "now", "name": "note", "arguments": {"x": 1, "x": 2}}')
    assert (call.name, call.arguments, call.problem) == ("note", {"x": 2}, None)


def test_a_schema_that_no_argument_can_be_held_against_is_the_calls_problem() -> None:
    loop = {"type": "object", "$ref": "#"}
    away = {"type": "object", "properties": {"a": {"$ref": "https://example.invalid/schema"}}}
    even = {"type": "object", "properties": {"a": {"multipleOf": 0.5}}}
    box = ToolBox([{"name": n, "parameters": p} for n, p in (("loop", loop), ("away", away), ("even", even))])
    for name, value in (("loop", 1), ("away", 1), ("even", 10**400)):
        call = box.parse(json.dumps({"name": name, "arguments": {"a": value}}))
        assert f"can't be held against the schema of {name!r}" in str(call.problem)


@given(st.text() | JSON.map(json.dumps) | st.fixed_dictionaries({"name": JSON, "arguments": JSON}).map(json.dumps))
def test_no_text_makes_the_parser_fail(box, text) -> None:
    call = box.parse(text)
    assert call.text == text
    assert call.problem != ""


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_json_object_comes_back_as_the_arguments(box, arguments) -> None:
    call = box.parse(json.dumps({"name": "note", "arguments": arguments}, ensure_ascii=False))
    assert (call.arguments, call.problem) == (arguments, None)


def test_every_call_has_an_id_of_its_own(box) -> None:
    ids = {box.parse("{}").id for _ in range(100)}
    assert len(ids) == 100
    assert all(call_id.startswith("call_") for call_id in ids)


@pytest.mark.parametrize(
    ("tools", "found"),
    [
        ("get_weather", "the tools are str"),
        ({"name": "a"}, "the tools are dict"),
        (["a"], "tool 0 is 'a'"),
        ([{"type": "function", "function": "a"}], "tool 0 is"),
        ([{"name": "a"}, {"description": "b"}], "tool 1 has the name None"),
        ([{"name": 'say "hi"'}], "without quotes"),
        ([{"name": "a"}, {"name": "a"}], "two tools are named 'a'"),
        ([tool(parameters=[1])], "'get_weather' has the parameters"),
        ([tool(parameters={"type": "string"})], '"type": "object"'),
        ([tool(parameters={"properties": {"a": {"type": "strin"}}})], r"no JSON schema: .*at \$.properties.a.type"),
        ([tool(parameters={"properties": {"a": {"default": object()}}})], "not JSON data"),
    ],
)
def test_a_tool_of_another_shape_is_refused_when_the_box_is_made(tools, found) -> None:
    with pytest.raises(InputError, match=found):
        ToolBox(tools)


TUPLE = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"items": [{"type": "integer"}]}}}
DRAFT_4 = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}},
}
UNKNOWN = {"$schema": "https://example.invalid/own", "properties": {"a": {"type": "integer"}}}
LETTERS = {"properties": {"a": {"type": "string", "pattern": r"^\p{L}+$"}}}
NAMED = {"patternProperties": {r"^\p{L}$": {"type": "integer"}}, "additionalProperties": False}
NULLS = {"type": ["object", "null"], "title": None, "properties": {"a": {"type": "integer", "description": None}}}
NULL_DATA = {"properties": {"a": {"enum": [None, 1], "default": None, "const": None}}, "required": None}


@pytest.mark.parametrize(
    ("parameters", "good", "bad"),
    [
        (TUPLE, [1, "x"], ["x"]),
        (DRAFT_4, 2, 1),
        (UNKNOWN, 1, "x"),
        (LETTERS, "ü", 1),
        (NAMED, 1, None),
        (NULLS, 1, "x"),
        (NULL_DATA, None, 1),
        ({"$schema": None, "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}, 1, "x"),
    ],
)
def test_a_schema_of_any_draft_or_language_is_taken_and_held_where_it_can_be(parameters, good, bad) -> None:
    box = ToolBox([{"name": "f", "parameters": parameters}, tool()])
    assert box.parse(json.dumps({"name": "f", "arguments": {"a": good}})).problem is None
    if bad is not None:
        problem = box.parse(json.dumps({"name": "f", "arguments": {"a": bad}})).problem
        assert problem is not None
        assert "wrong at $.a" in problem


def test_changing_a_schema_afterwards_changes_no_box() -> None:
    parameters: dict[str, Any] = {"type": "object", "required": ["a"]}
    box = ToolBox([{"name": "f", "parameters": parameters}])
    parameters["required"].clear()
    assert box.parse('{"name": "f", "arguments": {}}').problem


def rendered(template: ChatTemplate, content: str, calls: list[Any]) -> str:
    """What the template makes of the assistant's message alone."""
    asked = {"role": "user", "content": "hi"}
    said = {"role": "assistant", "content": content, "tool_calls": message_calls(calls)}
    text = template.render([asked, said, asked], add_generation_prompt=False)
    return text.split("<|im_start|>assistant\n", 1)[1].rsplit("<|im_end|>\n<|im_start|>user\n", 1)[0]


@given(
    st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=3), min_size=1, max_size=3),
    st.sampled_from(["", "ok"]),
)
def test_history_has_the_text_of_calls_written_as_templates_write_them(box, template, arguments, content) -> None:
    bodies = [json.dumps({"name": "note", "arguments": one}, ensure_ascii=False) for one in arguments]
    written = "\n".join(f"<tool_call>\n{body}\n</tool_call>" for body in bodies)
    calls = [box.parse(f"\n{body}\n") for body in bodies]
    assert rendered(template, content, calls) == (f"{content}\n{written}" if content else written)


@pytest.mark.parametrize(
    "body", ['{"name": "note", "arguments": {"x": }}', '{"name": "note", "arguments": {"x": {"y": 1 2}}}']
)
def test_history_has_the_text_of_a_broken_call_too(box, template, body) -> None:
    assert rendered(template, "", [box.parse(f"\n{body}\n")]) == f"<tool_call>\n{body}\n</tool_call>"


def test_history_has_all_that_was_written_of_a_call_in_another_form(box, template) -> None:
    assert "note: the sun" in rendered(template, "", [box.parse("note: the sun")])
    assert '"arguments": {"x": "the s}' in rendered(
        template, "", [cut_call('\n{"name": "note", "arguments": {"x": "the s')]
    )


@given(st.text())
def test_history_has_any_text_that_is_no_call(box, template, text) -> None:
    assume(all(letter not in text for letter in "<|>"))
    assert text.strip() in rendered(template, "", [box.parse(text)])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice()),
        ("none", ToolChoice(use=ToolUse.NONE)),
        ("required", ToolChoice(use=ToolUse.REQUIRED)),
        ("now", ToolChoice(use=ToolUse.REQUIRED, name="now")),
        ({"type": "function", "function": {"name": "now"}}, ToolChoice(use=ToolUse.REQUIRED, name="now")),
        ({"type": "function", "name": "now"}, ToolChoice(use=ToolUse.REQUIRED, name="now")),
        (ToolChoice(use=ToolUse.NONE), ToolChoice(use=ToolUse.NONE)),
    ],
)
def test_a_tool_choice_is_a_word_a_name_or_what_openai_sends(choice, expected) -> None:
    assert ToolChoice.of(choice, ["now", "note"]) == expected


@pytest.mark.parametrize(
    ("choice", "names", "found"),
    [
        ("nwo", ["now"], "did you mean 'now'"),
        ("requird", ["now"], "did you mean 'required'"),
        ("weather", ["now"], "expected one of: auto, none, required, now"),
        ({"function": {"name": "nwo"}}, ["now"], "unknown tool 'nwo': did you mean 'now'"),
        ({"function": {}}, ["now"], "expected auto, none, required or a tool's name"),
        (None, ["now"], "tool_choice is None"),
        ("required", [], "there are no tools"),
    ],
)
def test_a_tool_choice_that_means_nothing_is_refused(choice, names, found) -> None:
    with pytest.raises(InputError, match=found):
        ToolChoice.of(choice, names)

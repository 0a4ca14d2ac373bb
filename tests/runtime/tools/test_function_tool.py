"""Python functions as tools, and pydantic models as formats."""

from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from thinkport.runtime import InputError, JsonSchema, SamplingSettings, ToolCall, tool_of

GREEDY = SamplingSettings(temperature=0)
EMPTY = "<think>\n\n</think>\n\n"  # stands in the prompt where thinking is off


class Unit(Enum):
    METRE = "m"
    FOOT = "ft"


def convert(
    length: Annotated[float, Field(description="How long it is", ge=0)], unit: Unit, to: Literal["m", "ft"] = "m"
) -> float:
    """Convert a length.

    Rounds nothing.
    """
    return length


class Title(BaseModel):
    title: str
    year: int = Field(ge=0, le=9999)


def test_a_function_is_described_by_its_name_docstring_and_annotations() -> None:
    function = tool_of(convert)["function"]
    assert (function["name"], function["description"]) == ("convert", "Convert a length.\n\nRounds nothing.")
    parameters = function["parameters"]
    assert parameters["properties"]["length"] == {"type": "number", "minimum": 0, "description": "How long it is"}
    assert parameters["properties"]["to"] == {"type": "string", "enum": ["m", "ft"], "default": "m"}
    assert parameters["$defs"]["Unit"]["enum"] == ["m", "ft"]
    assert parameters["required"] == ["length", "unit"]
    assert parameters["additionalProperties"] is False


def test_a_parameter_may_be_called_title() -> None:
    def book(title: str, books: list[Title]) -> None:
        """Note a book."""

    parameters = tool_of(book)["function"]["parameters"]
    assert parameters["properties"]["title"] == {"type": "string"}
    assert set(parameters["$defs"]["Title"]["properties"]) == {"title", "year"}


def star(*numbers: int) -> None: ...
def keywords(**named: int) -> None: ...
def positional(a: int, /) -> None: ...
def odd(socket: type[object] | Exception) -> None: ...


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda a: a, "has no name"),
        (int, "parameters of the tool int can't be told"),
        (star, r"has the parameter \*numbers"),
        (keywords, r"has the parameter \*\*named"),
        (positional, "expected parameters that are given by name"),
        (odd, "have no JSON schema"),
    ],
)
def test_what_is_no_tool_is_refused_in_a_sentence(given, says) -> None:
    with pytest.raises(InputError, match=says):
        tool_of(given)


def test_a_model_calls_a_function_that_was_given_as_it_is(new_model) -> None:
    call = EMPTY + '<tool_call>\n{"name": "convert", "arguments": {"length": 2.0, "unit": "m"}}\n</tool_call>'
    model = new_model(call)
    chat = model.chat(tools=[convert], sampling=GREEDY, thinking=False)
    assert chat.tools == [tool_of(convert)]
    (made,) = [event for event in chat.stream("hi") if isinstance(event, ToolCall)]
    assert (made.name, made.arguments, made.problem) == ("convert", {"length": 2.0, "unit": "m"}, None)
    assert model.encode([{"role": "user", "content": "hi"}], [convert]) == model.encode(
        [{"role": "user", "content": "hi"}], [tool_of(convert)]
    )
    end = model.generate("hi", tools=[convert], sampling=GREEDY, thinking=False)
    assert end.tool_calls[0].name == "convert"


def test_a_chat_with_functions_is_saved_with_their_descriptions(new_model, tmp_path) -> None:
    model = new_model("one")
    chat = model.chat(tools=[convert], sampling=GREEDY)
    chat.send("hi")
    chat.save(tmp_path / "chat")
    assert model.restore(tmp_path / "chat").tools == [tool_of(convert)]


def test_a_pydantic_model_is_a_format() -> None:
    assert JsonSchema(Title).data == Title.model_json_schema()
    with pytest.raises(InputError, match="expected a mapping, a bool or a pydantic model"):
        JsonSchema(dict)  # type: ignore[arg-type]


def test_an_answer_of_a_pydantic_model_is_read_by_it(new_model) -> None:
    model = new_model(EMPTY + '{"title": "on", "year": 12}')
    end = model.generate("hi", response_format=JsonSchema(Title), sampling=GREEDY, thinking=False)
    assert Title.model_validate_json(end.answer) == Title(title="on", year=12)

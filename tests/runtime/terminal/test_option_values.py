"""Options become values; what was not given is left to where its default is written."""

import io
from pathlib import Path

import pytest

from thinkport.runtime.errors import InputError
from thinkport.runtime.terminal.option_values import (
    prompt_of,
    reply_thinking_of,
    response_format_of,
    thinking_of,
    tools_of,
)
from thinkport.runtime.thinking.thinking import Switch, Thinking
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex


def test_only_given_options_change_the_thinking() -> None:
    assert thinking_of(None, None, None) == Thinking()
    assert thinking_of(False, 9, "0.5") == Thinking(enabled=Switch.OFF, budget=9, soft_from=0.5)
    assert thinking_of(None, None, "off") == Thinking(soft_from=None)


@pytest.mark.parametrize("share", ["half", "1.5"])
def test_a_share_out_of_range_is_refused(share: str) -> None:
    with pytest.raises(InputError, match=f"{share}.*expected a share"):
        thinking_of(None, None, share)


def test_a_form_is_read(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}', encoding="utf-8")
    assert response_format_of(schema, None, ()) == JsonSchema({"type": "object"})
    assert response_format_of(None, "[0-9]+", ()) == Regex("[0-9]+")
    assert response_format_of(None, None, ["yes", "no"]) == Choice(("yes", "no"))
    assert response_format_of(None, None, ()) is None


def test_two_forms_are_refused() -> None:
    with pytest.raises(InputError, match="more than one of --schema, --regex and --choice"):
        response_format_of(None, "x", ["y"])


def test_tools_are_a_list_or_one(tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    file.write_text('{"type": "function"}', encoding="utf-8")
    assert tools_of(file) == [{"type": "function"}]
    assert tools_of(None) is None
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="holds no tools"):
        tools_of(file)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    with pytest.raises(InputError, match=r"tools\.json can't be read"):
        tools_of(file)
    file.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"tools\.json is no JSON"):
        tools_of(file)


def test_a_prompt_is_said_or_comes_by_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from a file\n"))
    assert (prompt_of("hi"), prompt_of("-")) == ("hi", "from a file\n")


@pytest.mark.parametrize(("text", "stdin"), [("", "unread"), (" \n", "unread"), ("-", "")])
def test_an_empty_prompt_is_refused(text: str, stdin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    with pytest.raises(InputError, match="the prompt is empty"):
        prompt_of(text)


def test_a_reply_without_a_thought_has_no_budget_for_it() -> None:
    with pytest.raises(InputError, match="--think-budget gives it 20 tokens: leave one out"):
        reply_thinking_of(False, 20, None)
    assert reply_thinking_of(False, 0, None) == thinking_of(False, 0, None)
    assert reply_thinking_of(None, 20, None) == thinking_of(None, 20, None)

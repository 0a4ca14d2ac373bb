"""A tool call as text: read from what the model wrote, and as a chat template takes it back in the history.

Knows the form that Qwen's templates use: a JSON object with `name` and `arguments`. Must not know which tools there
are, nor tags and ids.
"""

import json
import re
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from thinkport.runtime.events import ToolCall

_EXPECTED = 'expected {"name": ..., "arguments": {...}}'
_DEPTH = 64  # levels of nesting; templates and schemas are walked by functions that call themselves
_SHOWN = 60  # characters of a wrong value that a problem quotes
_NAME = re.compile(r'\{\s*"name"\s*:\s*"([^"\\\x00-\x1f]*)"')
_LEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"[^"\\]*"\s*,\s*"arguments"\s*:')
_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def read_call(text: str) -> ToolCall:
    """The call that the model wrote between the tags, with an id of its own; it is held against no tool.

    Whatever is wrong with it is its `problem`. Of a key given twice the last counts, as everywhere in Python.
    """
    try:
        written = _load(text, "the call")
    except ValueError as error:
        return _call(text, _spelled_name(text), None, str(error))
    if not isinstance(written, dict):
        return _call(text, "", None, f"the call is {_kind(written)}, {_EXPECTED}")
    arguments, wrong_arguments = _arguments(written)
    name, wrong_name = _name(written)
    return _call(text, name, arguments, wrong_name or wrong_arguments)


def cut_call(text: str) -> ToolCall:
    """The call of a reply that ended before the call did; `text` is what came of it."""
    return _call(text, _spelled_name(text), None, "the call was cut off: the reply ended before it was whole")


def message_calls(calls: Iterable[ToolCall]) -> list[dict[str, Any]]:
    """The `tool_calls` of an assistant message, for the history.

    Arguments are a mapping, which templates write as JSON with a space after commas and colons. A call without a
    mapping keeps what the model wrote in their place as a text, which Qwen's templates put in as it is.
    """
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": _spelled_arguments(call.text) if call.arguments is None else call.arguments,
            },
        }
        for call in calls
    ]


def shown(value: object) -> str:
    """A value as a problem quotes it: its start, if it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _call(text: str, name: str, arguments: dict[str, Any] | None, problem: str | None) -> ToolCall:
    return ToolCall(id=f"call_{uuid4().hex}", name=name, arguments=arguments, text=text, problem=problem)


def _name(written: dict[str, Any]) -> tuple[str, str | None]:
    name = written.get("name")
    if isinstance(name, str) and name:
        return name, None
    found = f"its name is {shown(json.dumps(name))}" if "name" in written else f"its keys are {_keys(written)}"
    return "", f"the call names no tool ({found}), {_EXPECTED}"


def _arguments(written: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """The arguments, also where they are JSON within a text, or what is wrong with them."""
    if "arguments" not in written:
        return None, f"the call has no arguments (its keys are {_keys(written)}), {_EXPECTED}"
    arguments = written["arguments"]
    if isinstance(arguments, str):
        try:
            arguments = _load(arguments, "the text in $.arguments")
        except ValueError as error:
            return None, str(error)
    if isinstance(arguments, dict):
        return arguments, None
    return None, f"$.arguments is {_kind(arguments)}, expected an object"


def _load(text: str, what: str) -> Any:
    """JSON data that can be written again; a ValueError carries the whole problem."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        too_deep = _deeper_than(value, _DEPTH)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        too_deep = True
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half a surrogate pair, which is no character") from None
    except ValueError as error:  # NaN, 1e999, more digits than Python reads
        raise ValueError(f"{what} holds a number that can't be read: {error}") from None
    if too_deep:
        raise ValueError(f"{what} is nested too deeply, expected at most {_DEPTH} levels")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def _deeper_than(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in items)


def _kind(value: Any) -> str:
    return _KINDS[type(value)]


def _keys(written: dict[str, Any]) -> str:
    return shown(", ".join(written) or "none")


def _spelled_name(text: str) -> str:
    """The name in text that is no JSON, as far as it can be told; else empty."""
    found = _NAME.search(text)
    return found[1] if found else ""


def _spelled_arguments(text: str) -> str:
    """What stands in the arguments' place in text that is no sound call; all of the text if there is no such place."""
    found = _LEAD.match(text)
    return text[found.end() :].strip().removesuffix("}") if found else text.strip()

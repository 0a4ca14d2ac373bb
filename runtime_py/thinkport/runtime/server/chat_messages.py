"""Messages as clients send them, made into those that templates know.

Clients send null beside tool calls, lists of parts, arguments as JSON in a text, thoughts under two names. Knows the
forms of OpenAI's interfaces; what is no message at all is refused by `thinkport.runtime.prompt.messages`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from thinkport.runtime.server.api_error import bad

_ROLES = {"developer": "system"}
_TEXTS = ("text", "input_text", "output_text")
_KEPT = ("role", "content", "reasoning_content", "reasoning", "tool_calls", "tool_call_id", "name")


def chat_messages(messages: Sequence[Mapping[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The messages for a template.

    Raises:
        ApiError: 400, too many, or a message of another form.
    """
    if len(messages) > limit:
        raise bad(f"{len(messages)} messages, expected at most {limit}", "messages")
    return [_message(message, f"messages.{at}") for at, message in enumerate(messages)]


def _message(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    made = {name: message[name] for name in _KEPT if message.get(name) is not None}
    role = message.get("role")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        raise bad(f"{where}.role is {role!r}, expected system, developer, user, assistant or tool", f"{where}.role")
    made["role"] = _ROLES.get(role, role)
    calls = made.pop("tool_calls", None)
    made["content"] = content_text(message.get("content"), f"{where}.content", empty=role == "assistant")
    for name in ("reasoning_content", "reasoning"):
        if not isinstance(made.get(name, ""), str):
            raise bad(f"{where}.{name} is no text", f"{where}.{name}")
    if calls:
        made["tool_calls"] = _calls(calls, f"{where}.tool_calls")
    return made


def content_text(content: Any, where: str, *, empty: bool = False) -> str:
    """The text of a content, which may be a text, a list of parts of text or, where it may be `empty`, null.

    Raises:
        ApiError: 400, anything else.
    """
    if isinstance(content, str):
        return content
    if content is None and empty:
        return ""
    if not isinstance(content, list):
        raise bad(f"{where} is {type(content).__name__}, expected a text or a list of parts of text", where)
    return "".join(_part(part, f"{where}.{at}") for at, part in enumerate(content))


def _part(part: Any, where: str) -> str:
    kind = part.get("type", "text") if isinstance(part, Mapping) else None
    if isinstance(part, Mapping) and kind == "refusal" and isinstance(part.get("refusal"), str):
        return str(part["refusal"])
    if isinstance(part, Mapping) and kind in _TEXTS and isinstance(part.get("text"), str):
        return str(part["text"])
    raise bad(f"{where} is of type {str(kind)[:40]!r}, expected text: this model takes nothing else", where)


def _calls(calls: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(calls, list):
        raise bad(f"{where} is {type(calls).__name__}, expected a list", where)
    return [_call(call, f"{where}.{at}") for at, call in enumerate(calls)]


def _call(call: Any, where: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise bad(f"{where} is no call of a function with a name", where)
    named = {"name": function["name"], "arguments": call_arguments(function.get("arguments"))}
    return {"id": str(call.get("id", "")), "type": "function", "function": named}


def call_arguments(arguments: Any) -> Any:
    """A mapping, as templates want it; what is none is left as the text that it is."""
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    try:
        read = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return read if isinstance(read, dict) else arguments

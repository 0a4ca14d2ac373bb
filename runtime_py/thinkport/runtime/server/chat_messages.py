"""Messages and Responses items as clients send them, made into messages that templates know.

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


def item_messages(given: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages of the items; thoughts and calls join the assistant's message that they belong to.

    Raises:
        ApiError: 400, an item of another type or form.
    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    made: list[dict[str, Any]] = []
    for at, item in enumerate(given):
        where, kind = f"input.{at}", item.get("type", "message")
        if kind == "message":
            _add_message(made, item, where)
        elif kind == "reasoning":
            _reply_of(made)["reasoning_content"] = _thought(item, where)
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": call_arguments(item.get("arguments"))}
            call = {"id": item.get("call_id", ""), "type": "function", "function": function}
            _reply_of(made).setdefault("tool_calls", []).append(call)
        elif kind == "function_call_output":
            output = content_text(item.get("output"), f"{where}.output")
            made.append({"role": "tool", "tool_call_id": str(item.get("call_id", "")), "content": output})
        else:
            expected = "message, reasoning, function_call or function_call_output"
            raise bad(f"{where} is of type {str(kind)[:40]!r}, expected {expected}", where)
    return made


def _add_message(made: list[dict[str, Any]], item: Mapping[str, Any], where: str) -> None:
    message = {"role": item.get("role"), "content": content_text(item.get("content"), f"{where}.content")}
    if message["role"] == "assistant" and made and _is_open(made[-1]):
        made[-1]["content"] = message["content"]
    else:
        made.append(message)


def _is_open(message: Mapping[str, Any]) -> bool:
    """Whether a reply has no text yet."""
    return message["role"] == "assistant" and not message.get("content") and not message.get("tool_calls")


def _reply_of(made: list[dict[str, Any]]) -> dict[str, Any]:
    """The reply that an item belongs to: the last message, or a new one."""
    if not made or made[-1]["role"] != "assistant":
        made.append({"role": "assistant", "content": ""})
    return made[-1]


def _thought(item: Mapping[str, Any], where: str) -> str:
    """The text of a thought, whole where it was sent whole, else its summary."""
    for name in ("content", "summary"):
        parts = item.get(name)
        if isinstance(parts, list) and parts:
            texts = [part.get("text") if isinstance(part, Mapping) else None for part in parts]
            if not all(isinstance(text, str) for text in texts):
                raise bad(f"{where}.{name} holds what is no text", where)
            return "".join(map(str, texts))
    return ""


def function_tool(tool: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A tool as chat completions have it, of one of either form.

    Raises:
        ApiError: 400, one whose function is no object.
    """
    if isinstance(tool.get("function"), Mapping):
        return dict(tool)
    if "function" in tool:
        raise bad(f"{where}.function is no object", where)
    kept = {name: tool[name] for name in ("name", "description", "parameters") if tool.get(name) is not None}
    return {"type": "function", "function": kept}

"""The items of a response's input as messages, and its tools as chat completions have them.

Knows the Responses interface's items; must not know how a reply is sent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.chat_messages import call_arguments, content_text


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
            raise bad(
                f"{where} is of type {str(kind)[:40]!r}, expected message, reasoning, function_call or "
                "function_call_output",
                where,
            )
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
    """A tool as chat completions have it.

    Raises:
        ApiError: 400, one that is no function.
    """
    if tool.get("type", "function") != "function":
        raise bad(f"{where} is of type {str(tool.get('type'))[:40]!r}, expected function", where)
    if isinstance(tool.get("function"), Mapping):
        return dict(tool)
    kept = {name: tool[name] for name in ("name", "description", "parameters") if tool.get(name) is not None}
    return {"type": "function", "function": kept}

"""Messages as a chat or a client gives them, checked before a template sees them.

Templates leave out what they don't expect without a word: a role they don't know, content that is no text. Here it is
an error. Rendering stays what transformers does; this stands before it. Knows messages; must not know templates.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from thinkport.runtime.errors import InputError

ROLES = ("system", "user", "assistant", "tool")


def checked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The messages, their content a text each; parts (`{"type": "text", "text": …}`, or plain texts) are joined.

    Raises:
        InputError: no message, another role than `ROLES`, or content that is no text.
    """
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise InputError(
            f"the messages are {type(messages).__name__}, expected a list of mappings with role and content"
        )
    check_roles(messages)
    return [_checked(message) for message in messages]


def check_roles(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse an empty list, and messages without a role.

    Raises:
        InputError: either of them.
    """
    if not messages:
        raise InputError("there are no messages, expected at least one: add a user message")
    for message in messages:
        if not isinstance(message, Mapping) or "role" not in message:
            raise InputError(f"a message is {message!r}, expected a mapping with role and content")


def _checked(message: Mapping[str, Any]) -> Mapping[str, Any]:
    role, content = message["role"], message.get("content")
    if role not in ROLES:
        raise InputError(f"a message's role is {role!r}, expected one of: {', '.join(ROLES)}")
    if content is None and role == "assistant":
        return {**message, "content": ""}
    return message if isinstance(content, str) else {**message, "content": _joined(role, content)}


def _joined(role: str, content: Any) -> str:
    texts = [_text(part) for part in content] if isinstance(content, list | tuple) else [None]
    if not texts or any(text is None for text in texts):
        raise InputError(f"the content of a {role} message is {content!r}, expected a text, or a list of parts of text")
    return "".join(str(text) for text in texts)


def _text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, Mapping) and part.get("type", "text") == "text" else None
    return text if isinstance(text, str) else None

"""A conversation as a file for people (Markdown) or programs (JSON). Knows messages; must not know widgets."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from thinkport.runtime.errors import InputError

_SAYS = {"system": "System", "user": "You", "assistant": "Model", "tool": "Tool"}


def export_conversation(path: Path, messages: Sequence[Mapping[str, Any]], *, artifact: str) -> None:
    """Write messages to `path`, as JSON where it ends so and as Markdown otherwise.

    An older file stays as it is until the new one is whole.

    Raises:
        InputError: the file can't be written.
    """
    text = to_markdown(messages, artifact=artifact)
    if path.suffix.lower() == ".json":  # messages as chat templates take them, thoughts as `reasoning_content`
        text = json.dumps({"artifact": artifact, "messages": list(messages)}, indent=2, ensure_ascii=False) + "\n"
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise InputError(f"{path} can't be written ({error}): choose another place") from error


def to_markdown(messages: Sequence[Mapping[str, Any]], *, artifact: str) -> str:
    """A heading a message; thoughts are quoted."""
    return "\n\n".join([f"# Conversation with {artifact}", *map(_section, messages)]) + "\n"


def _section(message: Mapping[str, Any]) -> str:
    thought = str(message.get("reasoning_content") or "").strip()
    quoted = "\n".join(f"> {line}".rstrip() for line in thought.splitlines())
    parts = [f"## {_SAYS.get(message['role'], message['role'])}", quoted, str(message.get("content") or "").strip()]
    return "\n\n".join(part for part in parts if part)

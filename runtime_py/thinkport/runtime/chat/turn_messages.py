"""The messages that a turn adds to a history: what tools gave, and what the model said."""

from collections.abc import Mapping, Sequence
from typing import Any

from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End
from thinkport.runtime.tools.tool_calls import message_calls


def said_message(end: End) -> dict[str, Any]:
    """The reply as a message. A thought is named even where there is none if a template might find one in the text."""
    said: dict[str, Any] = {"role": "assistant", "content": end.answer}
    if end.thought or "</think>" in end.answer:
        said["reasoning_content"] = end.thought
    if end.tool_calls:
        said["tool_calls"] = message_calls(end.tool_calls)
    return said


def result_messages(
    calls: Sequence[Mapping[str, Any]], results: Mapping[str, str] | Sequence[str]
) -> list[dict[str, Any]]:
    """What tools gave, as messages: texts by call id, or in the order of the calls.

    Raises:
        InputError: other results than those of the calls, or some that are no texts.
    """
    ids = [str(call.get("id", f"call_{at}")) for at, call in enumerate(calls)]  # an edited history may have none
    given = dict(results) if isinstance(results, Mapping) else dict(zip(ids, results, strict=False))
    if isinstance(results, str) or len(results) != len(ids) or set(given) != set(ids):
        raise InputError(
            f"{len(results)} results for the calls {', '.join(ids)}, expected one for each: answer every call"
        )
    for call, result in given.items():
        if not isinstance(result, str):  # templates drop what is no text without a word
            raise InputError(f"the result of {call} is {type(result).__name__}, expected a text: write it as JSON")
    return [{"role": "tool", "tool_call_id": call, "content": given[call]} for call in ids]

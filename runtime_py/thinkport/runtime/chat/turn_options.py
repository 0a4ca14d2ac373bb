"""What may be said of a single turn of a chat."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NotRequired, TypedDict

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.reply.reply_request import Sampling
from thinkport.runtime.thinking.thinking import Switch, Thinking
from thinkport.runtime.tools.response_format import ResponseFormat
from thinkport.runtime.tools.tool_choice import ToolChoice


class TurnOptions(TypedDict):
    """What may be said of a single turn; what is left out is the chat's.

    thinking: a `Thinking`, or a switch alone. max_tokens: of the reply, thought included. sampling: settings, or
    single values over the mode's preset. seed: draws the same tokens again. response_format: what the answer is held
    to. tool_choice: auto, none, required, or the name of the tool to call. drafts: whether tokens are guessed ahead.
    """

    thinking: NotRequired[Thinking | Switch | bool | None]
    max_tokens: NotRequired[int | None]
    sampling: NotRequired[Sampling | None]
    seed: NotRequired[int | None]
    response_format: NotRequired[ResponseFormat | None]
    tool_choice: NotRequired[str | Mapping[str, Any] | ToolChoice]
    drafts: NotRequired[bool | None]


def check_names(options: Mapping[str, Any]) -> None:
    """Raise `TypeError` for an option that no turn has, as Python does for a keyword."""
    for name in options:
        if name in (field.name for field in fields(SamplingSettings)):
            raise TypeError(f"a turn has no option {name!r}: did you mean sampling={{{name!r}: ...}}?")
        if name not in TurnOptions.__annotations__:
            raise TypeError(f"a turn has no option {name!r}, expected one of: {', '.join(TurnOptions.__annotations__)}")

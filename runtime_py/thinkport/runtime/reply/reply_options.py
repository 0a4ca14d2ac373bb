"""The keywords of a single reply: for type checkers, and for `check_names` where nobody runs one.

Knows names and types; must not know what a reply makes of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypedDict

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.prompt.prompt import Tools
from thinkport.runtime.thinking.thinking import Switch, Thinking
from thinkport.runtime.tools.response_format import ResponseFormat
from thinkport.runtime.tools.tool_choice import ToolChoice
from thinkport.runtime.tools.toolbox import did_you_mean

Sampling = SamplingSettings | Mapping[str, Any]


class TurnOptions(TypedDict, total=False):
    """Options of one turn of a chat. The chat gives what is left out or None.

    thinking: a `Thinking`, or a switch alone. max_tokens: of the reply, thought included. sampling: settings in place
    of the mode's preset, or a mapping that replaces single values of it. seed: draws the same tokens again.
    response_format: the form that the answer keeps to. tool_choice: auto, none, required, or the name of the tool to
    call. drafts: whether tokens are guessed ahead.
    """

    thinking: Thinking | Switch | bool | None
    max_tokens: int | None
    sampling: Sampling | None
    seed: int | None
    response_format: ResponseFormat | None
    tool_choice: str | Mapping[str, Any] | ToolChoice
    drafts: bool | None


class ReplyOptions(TurnOptions, total=False):
    """Options of one reply of a model. The model gives what is left out or None.

    system: a system message before the others. tools: those that the reply may call. engine: its KV cache is reused and
    extended. stop: ends the reply from any thread, as the reply's own methods do.
    """

    system: str | None
    tools: Tools | None
    engine: Engine | None
    stop: Stop | None


def check_names(options: Mapping[str, Any], kind: type[TurnOptions], whose: str) -> None:
    """Check the names of `options` against those of `kind`; `whose` options they are begins the message.

    Raises:
        TypeError: a name that `kind` has not, as Python has it for a keyword, with the name that was meant.
    """
    names: Sequence[str] = tuple(kind.__annotations__)
    settings = [field.name for field in fields(SamplingSettings)]
    for name in options:
        if name in names:
            continue
        meant = next(iter(get_close_matches(name, [*names, *settings], n=1)), None)
        hint = f": did you mean sampling={{{meant!r}: ...}}?" if meant in settings else did_you_mean(name, names)
        raise TypeError(f"{whose} has no option {name!r}{hint}")

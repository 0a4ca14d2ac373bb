"""The request of one reply, its keywords and what is prepared of it.

Type checkers know the keywords by their types; `check_names` knows them where nobody runs one. Must not know how a
reply is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Self, TypedDict

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import did_you_mean
from thinkport.runtime.prompt.prompt import Prompt, Tools
from thinkport.runtime.prompt.template import Message
from thinkport.runtime.thinking.thinking import Switch, Thinking, as_thinking
from thinkport.runtime.thinking.thinking_switch import Decision, Opening
from thinkport.runtime.tools.function_tool import ToolsGiven, described
from thinkport.runtime.tools.response_format import ResponseFormat
from thinkport.runtime.tools.toolbox import ToolBox, ToolChoice, ToolUse

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

    system: a system message before the others. tools: those that the reply may call, as mappings or functions. engine:
    its KV cache is reused and extended. stop: ends the reply from any thread, as the reply's own methods do.
    """

    system: str | None
    tools: ToolsGiven | None
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


@dataclass(frozen=True, kw_only=True)
class ReplyRequest:
    """One reply to `messages`, or to a `text` (or its ids) that it continues without a template, thought or tools.

    `call` and `chat` are how the call and the chat want it to think. `tool_choice` is auto, none, required, or the tool
    that must be called; see `ToolChoice.of`. `drafts` says whether tokens are guessed ahead; None leaves it to the
    model. `logprobs` asks for the log probabilities of the answer's tokens and of so many of the likeliest at each
    place; None for none.
    """

    messages: Sequence[Message] = ()
    text: str | Sequence[int] | None = None
    tools: Tools | None = None
    tool_choice: str | Mapping[str, Any] | ToolChoice = ToolUse.AUTO
    response_format: ResponseFormat | None = None
    call: Thinking | None = None
    chat: Thinking | None = None
    max_tokens: int | None = None
    sampling: Sampling | None = None
    seed: int | None = None
    drafts: bool | None = None
    logprobs: int | None = None

    @classmethod
    def of(cls, messages: Sequence[Message], options: TurnOptions, default: Thinking, **usual: Any) -> Self:
        """The request of a call's options, over the fields that are `usual` where the call leaves them out.

        A switch in the options changes `default`, the settings that hold without it.
        """
        said: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        call = as_thinking(said.pop("thinking", None), default)
        if "tools" in said:
            said["tools"] = described(said["tools"])
        return cls(messages=messages, call=call, **{**usual, **said})


@dataclass(frozen=True, kw_only=True)
class PreparedReply:
    """A request that was checked, with its prompt and what was decided for it: replies are begun from it.

    `opening` is what the prompt leaves open of a thought, `settings` the sampling of the mode that was decided.
    `thinks`: a thought is not ruled out. `width` is how many thoughts are written: 1 where the reply does not think, or
    all of them would be the same.
    """

    request: ReplyRequest
    prompt: Prompt
    decision: Decision
    thinking: Thinking
    opening: Opening
    settings: SamplingSettings
    toolbox: ToolBox
    thinks: bool = False
    width: int = 1

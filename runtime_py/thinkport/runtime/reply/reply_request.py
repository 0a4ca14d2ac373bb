"""The request of one reply, and what is prepared of it. Knows the fields; must not know how a reply is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.prompt.prompt import Prompt, Tools
from thinkport.runtime.prompt.template import Message
from thinkport.runtime.reply.reply_options import Sampling, TurnOptions
from thinkport.runtime.thinking.opening import Opening
from thinkport.runtime.thinking.thinking import Thinking, as_thinking
from thinkport.runtime.thinking.thinking_switch import Decision
from thinkport.runtime.tools.response_format import ResponseFormat
from thinkport.runtime.tools.tool_choice import ToolChoice, ToolUse
from thinkport.runtime.tools.toolbox import ToolBox


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
        return cls(messages=messages, call=call, **{**usual, **said})


@dataclass(frozen=True, kw_only=True)
class PreparedReply:
    """A request that was checked, with its prompt and what was decided for it: replies are begun from it.

    `opening` is what the prompt leaves open of a thought, `settings` the sampling of the mode that was decided.
    """

    request: ReplyRequest
    prompt: Prompt
    decision: Decision
    thinking: Thinking
    opening: Opening
    settings: SamplingSettings
    toolbox: ToolBox

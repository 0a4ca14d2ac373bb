"""Whether a reply thinks: the caller's switches first, then what the messages say; and with which part it begins.

Qwen's two kinds of switch (https://github.com/QwenLM/Qwen3, "Switching Between Thinking and Non-Thinking Mode"): the
hard one is the template's `enable_thinking`; the soft ones are `/think` and `/no_think` in a user or system message,
of which the latest counts, and only while the hard one is not off. Knows messages, and the ids of `<think>` and
`</think>`; must not know how tokens are drawn.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from thinkport.runtime.artifact.manifest import ThinkingIds
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.template import Message
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.thinking.thinking import DecidedBy, Switch, Thinking

# A word of its own: what is quoted, a path or `</think>` in a pasted text switches nothing.
_SOFT = re.compile(r"(?<!\S)/(no_)?think(?!\S)")
_SWITCHING = ("user", "system")
_RESULT = ("<tool_response>", "</tool_response>")  # a user message between these is a tool's, as templates have it


class Part(StrEnum):
    """A part of a reply."""

    THOUGHT = "thought"
    ANSWER = "answer"


class Opening(StrEnum):
    """How a prompt leaves the reply to begin."""

    FREE = "free"  # the model may open a thought
    THINKING = "thinking"  # the prompt opened one
    ANSWERING = "answering"  # the prompt closed one, or the model has none


def opening(prompt: Sequence[int], thinking: ThinkingIds | None, tokenizer: Tokenizer) -> Opening:
    """What the prompt's last think marker says; a closed thought counts if nothing but white space follows it."""
    if thinking is None:
        return Opening.ANSWERING
    for at in range(len(prompt) - 1, -1, -1):
        if prompt[at] == thinking.start:
            return Opening.THINKING
        if prompt[at] == thinking.end:
            return Opening.FREE if tokenizer.decode(prompt[at + 1 :]).strip() else Opening.ANSWERING
    return Opening.FREE


def switched(begin: Opening, enable_thinking: bool | None) -> Opening:
    """How the reply begins once the caller was heard.

    Off where the template left the choice stays `FREE`: the reply then begins with an empty thought, without which a
    model that thinks would do so in its answer.

    Raises:
        InputError: thinking is off and the prompt opened a thought all the same, or on and the prompt closed one.
    """
    if enable_thinking is True and begin is Opening.ANSWERING:
        raise InputError(
            "thinking can't be switched on: this model's chat template has no switch and always closes the thought. "
            "Leave thinking off or to auto, or use a model that can do both"
        )
    if enable_thinking is False and begin is Opening.THINKING:
        raise InputError(
            "thinking can't be switched off: this model's chat template has no switch and always opens a thought. "
            "Leave thinking on, or use a model that can do both"
        )
    return begin


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How thinking is switched for one reply, and who switched it.

    `enabled` is what holds. `hard` is what the caller, chat or model said, which the template is told: on, off or
    nothing, where it takes its own default.
    """

    enabled: Switch
    by: DecidedBy
    hard: bool | None


def decide(
    messages: Sequence[Message],
    call: Thinking | None,
    chat: Thinking | None,
    model: Thinking | None,
    manifest: bool | None = None,
) -> Decision:
    """The decision for a reply to `messages`: the nearest hard switch, and within on or auto the latest soft one."""
    hard, by = _nearest(call, chat, model, manifest)
    said = {Switch.ON: True, Switch.OFF: False}.get(hard)
    soft = None if hard is Switch.OFF else latest_soft_switch(messages)
    if soft is not None:
        return Decision(enabled=soft, by=DecidedBy.MESSAGE, hard=said)
    return Decision(enabled=hard, by=by, hard=said)


def latest_soft_switch(messages: Sequence[Message]) -> Switch | None:
    """What the last `/think` or `/no_think` of the user's and system's messages says; None if there is none."""
    for message in reversed(messages):
        if message.get("role") in _SWITCHING and (found := _SOFT.findall(_said(message))):
            return Switch.OFF if found[-1] else Switch.ON
    return None


def _nearest(
    call: Thinking | None, chat: Thinking | None, model: Thinking | None, manifest: bool | None
) -> tuple[Switch, DecidedBy]:
    for thinking, by in ((call, DecidedBy.CALL), (chat, DecidedBy.CHAT), (model, DecidedBy.MODEL)):
        if thinking is not None and isinstance(thinking.enabled, Switch):
            return thinking.enabled, by if thinking.enabled is not Switch.AUTO else DecidedBy.TEMPLATE
    if manifest is not None:
        return Switch.ON if manifest else Switch.OFF, DecidedBy.MODEL
    return Switch.AUTO, DecidedBy.TEMPLATE


def _said(message: Message) -> str:
    content: Any = message.get("content")
    if not isinstance(content, str) or (content.startswith(_RESULT[0]) and content.endswith(_RESULT[1])):
        return ""
    return content

"""The two parts of a reply, and which of them its prompt leaves it to begin with.

Knows the ids of `<think>` and `</think>`. Must not know how tokens are drawn.
"""

from collections.abc import Sequence
from enum import StrEnum

from thinkport.runtime.artifact.manifest import ThinkingIds
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.tokenizer import Tokenizer


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
    """How the reply begins once the caller was heard: off means off, also where the template has no switch.

    Raises:
        InputError: thinking is off and the prompt opened a thought all the same.
    """
    if enable_thinking is not False:
        return begin
    if begin is Opening.THINKING:
        raise InputError(
            "thinking can't be switched off: this model's chat template has no switch and always opens a thought. "
            "Leave thinking on, or use a model that can do both"
        )
    return Opening.ANSWERING

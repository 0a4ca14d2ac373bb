"""Thought and answer: the two parts of a reply, told apart by ids, never by text.

Knows the ids of `<think>` and `</think>` and the newlines that templates put around them. Must not know how tokens are
drawn.
"""

from collections.abc import Sequence
from enum import StrEnum

from thinkport.runtime.errors import InputError
from thinkport.runtime.events import ToolCall
from thinkport.runtime.generation import Finish
from thinkport.runtime.manifest import ThinkingIds
from thinkport.runtime.thought_text import ThoughtText
from thinkport.runtime.tokenizer import Tokenizer
from thinkport.runtime.tool_call_splitter import ToolCallSplitter
from thinkport.runtime.toolbox import ToolBox


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


class ReplySplitter:
    """Turns a reply's ids into pieces of thought and answer and into tool calls, without the markers between them."""

    def __init__(
        self, tokenizer: Tokenizer, thinking: ThinkingIds | None, begin: Opening, toolbox: ToolBox | None = None
    ):
        """Without a `toolbox`, tool calls are text like any other."""
        self.part = Part.THOUGHT if begin is Opening.THINKING else Part.ANSWER
        self.tokens = dict.fromkeys(Part, 0)
        self._thinking = thinking
        self._thought = ThoughtText(tokenizer)
        self._answer = ToolCallSplitter(tokenizer, toolbox)

    def feed(self, id: int, *, forced: bool = False) -> list[str | ToolCall]:  # noqa: A002 - the domain's word
        """What is whole with this id, often nothing, of the part that the reply was in before it.

        What is `forced` counts in no part's tokens.
        """
        thinking = self._thinking
        if thinking and id in (thinking.start, thinking.end):
            pieces = self.flush(Finish.STOP)
            self.part = Part.THOUGHT if id == thinking.start else Part.ANSWER
            return pieces
        if not forced:
            self.tokens[self.part] += 1
        return self._answer.feed(id) if self.part is Part.ANSWER else self._thought.feed(id)

    def flush(self, finish: Finish) -> list[str | ToolCall]:
        """What is still held of the part where the reply ends by `finish`."""
        return self._answer.flush(finish) if self.part is Part.ANSWER else self._thought.flush()

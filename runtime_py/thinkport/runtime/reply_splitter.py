"""Thought and answer: the two parts of a reply, told apart by ids, never by text.

Knows the ids of `<think>` and `</think>` and the newlines that templates put around them. Must not know how tokens are
drawn.
"""

from collections.abc import Sequence
from enum import StrEnum

from thinkport.runtime.detokenize import Detokenizer
from thinkport.runtime.errors import InputError
from thinkport.runtime.manifest import ThinkingIds
from thinkport.runtime.tokenizer import Tokenizer


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
    """Turns a reply's ids into pieces of thought and answer, without the markers and the newlines around them."""

    def __init__(self, tokenizer: Tokenizer, thinking: ThinkingIds | None, begin: Opening):
        self.part = Part.THOUGHT if begin is Opening.THINKING else Part.ANSWER
        self.tokens = dict.fromkeys(Part, 0)
        self._thinking = thinking
        self._detokenizer = Detokenizer(tokenizer)
        self._bare = True  # nothing of this part was shown yet, so newlines are the template's
        self._held = ""  # a thought's newlines, shown once more text follows

    def feed(self, id: int, *, forced: bool = False) -> tuple[Part, str]:  # noqa: A002 - the domain's word
        """The part that the id belongs to, or ends, and the text to show of it, often empty.

        What is `forced` counts in no part's tokens.
        """
        thinking = self._thinking
        if thinking and id in (thinking.start, thinking.end):
            return self._turn_to(Part.THOUGHT if id == thinking.start else Part.ANSWER)
        if not forced:
            self.tokens[self.part] += 1
        return self.part, self._show(self._detokenizer.feed(id))

    def flush(self) -> tuple[Part, str]:
        """What is still held of the last part."""
        return self.part, self._show(self._detokenizer.flush())

    def _turn_to(self, part: Part) -> tuple[Part, str]:
        before, last = self.flush()
        if part is not before:
            self.part, self._bare, self._held = part, True, ""
        return before, last

    def _show(self, text: str) -> str:
        if self._bare:
            text = text.lstrip("\n")
            self._bare = not text
        if self.part is Part.ANSWER:
            return text
        whole = self._held + text
        shown = whole.rstrip("\n")
        self._held = whole[len(shown) :]
        return shown

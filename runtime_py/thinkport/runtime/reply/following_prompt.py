"""What the prompt after a reply begins with, noted while the reply is written.

Knows messages and parts of a reply; must not know what is done with the ids.
"""

from collections.abc import Callable, Sequence

from thinkport.runtime.engine.next_start import NextStart
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.thinking.thinking_switch import Part


class FollowingPrompt:
    """The start of the next prompt: `history` gives its ids up to the reply's text, told whether the reply thought.

    `call` is the id that begins a tool call, after which templates write the reply in their own way.
    """

    def __init__(self, history: Callable[[bool], Sequence[int]], tokenizer: Tokenizer, call: int | None):
        self.start = NextStart(ask=lambda: history(self._thought))
        self._tokenizer, self._call = tokenizer, call
        self._thought = self._called = False

    def take(self, id: int, part: Part | None) -> None:  # noqa: A002 - the domain's word
        """Take note of a token of a part; None for a marker between parts."""
        said = self.start.said
        if part is Part.THOUGHT:
            self._thought = True
        self._called = self._called or id == self._call
        if part is not Part.ANSWER or self._called:
            return
        if said or self._tokenizer.decode([id]).strip("\n"):  # newlines before the answer belong to no part
            said.append(id)

"""Thought and answer: the two parts of a reply, told apart by ids, never by text.

Knows the ids of `<think>` and `</think>` and the newlines that templates put around them. Must not know how tokens are
drawn.
"""

from thinkport.runtime.artifact.manifest import ThinkingIds
from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import ToolCall
from thinkport.runtime.prompt.tokenizer import Detokenizer, Tokenizer
from thinkport.runtime.thinking.thinking_switch import Opening, Part
from thinkport.runtime.tools.tool_call_splitter import ToolCallSplitter
from thinkport.runtime.tools.toolbox import ToolBox


class ThoughtDetokenizer:
    """A thought's ids as text: newlines at its start are left out, later ones held until more text follows."""

    def __init__(self, tokenizer: Tokenizer):
        self._detokenizer = Detokenizer(tokenizer)
        self._bare = True  # nothing was shown yet
        self._held = ""

    def feed(self, id: int) -> list[str | ToolCall]:  # noqa: A002 - the domain's word
        """Return the text that this id completes, if any."""
        return self._show(self._detokenizer.feed(id))

    def flush(self) -> list[str | ToolCall]:
        """Return the text that is still held, without newlines."""
        return self._show(self._detokenizer.flush())

    def _show(self, text: str) -> list[str | ToolCall]:
        whole = self._held + text
        if self._bare:
            whole = whole.lstrip("\n")
        shown = whole.rstrip("\n")
        self._held = whole[len(shown) :]
        self._bare = self._bare and not shown
        return [shown] if shown else []


class ReplySplitter:
    """Turns a reply's ids into pieces of thought and answer and into tool calls, without the markers between them."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        thinking: ThinkingIds | None,
        begin: Opening,
        toolbox: ToolBox | None = None,
        *,
        continued: bool = False,
    ):
        """Without a `toolbox`, tool calls are text like any other; without `thinking`, so are its markers.

        `continued`: the answer goes on within a text, whose newlines are its own.
        """
        self.part = Part.THOUGHT if begin is Opening.THINKING else Part.ANSWER
        self.tokens = dict.fromkeys(Part, 0)
        self._thinking = thinking
        self._thought = ThoughtDetokenizer(tokenizer)
        self._answer = ToolCallSplitter(tokenizer, toolbox, continued=continued)

    def feed(self, id: int, *, forced: bool = False) -> list[str | ToolCall]:  # noqa: A002 - the domain's word
        """Return the pieces that this id completes, often none; they belong to the part before it.

        A `forced` id is not counted.
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
        """Return the pieces that are still held where the reply ends by `finish`."""
        return self._answer.flush(finish) if self.part is Part.ANSWER else self._thought.flush()

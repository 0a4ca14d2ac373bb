"""Answer and tool calls, told apart by the tags' ids, never by text.

Knows Qwen's tags, which are added tokens of the tokenizer, and the newlines that templates put around calls. Must not
know thoughts: it gets an answer's ids only.
"""

from dataclasses import dataclass
from typing import Self

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.events import ToolCall
from thinkport.runtime.prompt.tokenizer import Detokenizer, Tokenizer
from thinkport.runtime.tools.tool_calls import cut_call
from thinkport.runtime.tools.toolbox import ToolBox

START, END = "<tool_call>", "</tool_call>"
Pieces = list[str | ToolCall]


@dataclass(frozen=True, kw_only=True)
class ToolTags:
    """The ids that open and close a tool call."""

    start: int
    end: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self | None:
        """The tags of a tokenizer, None if it lacks one: its model then has no calls to tell from text."""
        added = tokenizer.added
        return cls(start=added[START], end=added[END]) if START in added and END in added else None


class ToolCallSplitter:
    """Turns an answer's ids into pieces of its text and whole tool calls; nothing that it gave is taken back.

    Newlines that start the answer, and newlines beside a call, are the template's: they are held until more text
    comes, and never shown if none does. A call's text is held until the call is whole. Without tools (None, or an
    empty box), or in a model without tags, the tags are plain text and no call ever comes.
    """

    def __init__(self, tokenizer: Tokenizer, toolbox: ToolBox | None, *, continued: bool = False):
        """`continued`: the answer goes on within a text, and newlines at its start are shown."""
        self._toolbox = toolbox or ToolBox([])
        self._tags = ToolTags.of(tokenizer) if self._toolbox else None
        self._detokenizer = Detokenizer(tokenizer)
        self._body: str | None = None  # of the open call
        self._held = ""  # newlines
        self._bare = not continued  # no text was shown yet
        self._beside_call = False  # what is held follows a call

    def feed(self, id: int) -> Pieces:  # noqa: A002 - the domain's word
        """What is whole with this id, in its order; often nothing."""
        if self._tags and id == self._tags.start:
            return self._open()
        if self._tags and id == self._tags.end and self._body is not None:
            return self._close()
        return self._take(self._detokenizer.feed(id))

    def flush(self, finish: Finish = Finish.STOP) -> Pieces:
        """What is still held where the answer ends.

        A call that the model itself left open, by a stop, is read as it is; one that was cut off is a problem.
        """
        pieces = self._take(self._detokenizer.flush())
        if self._body is not None:
            cut = finish is not Finish.STOP
            pieces.append(cut_call(self._body) if cut else self._toolbox.parse(self._body))
        elif self._held and not self._bare and not self._beside_call:
            pieces.append(self._held)
        self._body, self._held = None, ""
        return pieces

    def _open(self) -> Pieces:
        # A model that forgets to close a call before the next one has written the first all the same.
        pieces = self._close() if self._body is not None else self._take(self._detokenizer.flush())
        self._body, self._held = "", ""
        return pieces

    def _close(self) -> Pieces:
        body = (self._body or "") + self._detokenizer.flush()
        self._body, self._beside_call = None, True
        return [self._toolbox.parse(body)]

    def _take(self, text: str) -> Pieces:
        if self._body is not None:
            self._body += text
            return []
        whole = self._held + text
        if self._bare:
            whole = whole.lstrip("\n")
        shown = whole.rstrip("\n") if self._tags else whole
        self._held = whole[len(shown) :]
        if not shown:
            return []
        self._bare = self._beside_call = False
        return [shown]

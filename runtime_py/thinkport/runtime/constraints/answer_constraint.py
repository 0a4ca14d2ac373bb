"""What may come next in one reply's answer: free text, a format, tool calls.

Knows the order of an answer's parts, by ids. Must not know grammars, nor thoughts: it sees the answer only.
"""

from enum import StrEnum
from typing import TypeVar

import numpy as np

from thinkport.runtime.constraints.grammars import Constraint, Grammars
from thinkport.runtime.engine.sampling import Row
from thinkport.runtime.errors import InputError
from thinkport.runtime.tools.response_format import ResponseFormat
from thinkport.runtime.tools.tool_call_splitter import ToolTags
from thinkport.runtime.tools.toolbox import ToolBox, ToolChoice, ToolUse

_T = TypeVar("_T")


class _Place(StrEnum):
    FREE = "free"
    FIRST = "first"
    FORMAT = "format"
    CALL = "call"
    BETWEEN = "between"
    AFTER_NEWLINE = "after newline"


class AnswerConstraint:
    """Changes an answer's logits so that what is drawn keeps to a format, to tools and to a choice among them.

    A call's text is always one of a tool's, by its schema. With `required`, or a tool's name, the answer is calls and
    nothing else, whatever the format. With `auto` the model decides: with a format, its first token decides between
    calls and the format; without, text and calls may follow each other. With `none` no call can open.

    Pass each row of logits of the answer through `apply` and each id of it to `accept`, forced ones included. Where
    `from_first_token` is true, the newlines after `</think>` come before: neither a format nor a call begins with them.

    | place         | what may come                               | the id that came | the next place               |
    |---------------|---------------------------------------------|------------------|------------------------------|
    | free          | anything, but no tags with `none`           | `<tool_call>`    | call, where there are tools  |
    | first         | the format's start; `<tool_call>` for tools | `<tool_call>`    | call                         |
    |               |                                             | any other        | format, first without one    |
    | format        | what the format has next                    | any              | format                       |
    | call          | what a tool's schema has next, then its end | `</tool_call>`   | between, or free again       |
    | between       | `<tool_call>`, a newline, the end           | `<tool_call>`    | call                         |
    |               |                                             | any other        | after newline                |
    | after newline | `<tool_call>`, the end                      | `<tool_call>`    | call                         |

    An answer begins in `first` where its first token is not free, else in `free`. An id that the table leaves out
    changes no place.
    """

    def __init__(
        self,
        grammars: Grammars,
        *,
        response_format: ResponseFormat | None = None,
        toolbox: ToolBox | None = None,
        choice: ToolChoice | None = None,
    ):
        """Hold an answer of a model with these `grammars`; one for each reply.

        Raises:
            InputError: a format that can't be enforced, or a call is required of a model without tool tags.
            MissingExtraError: llguidance is not installed.
        """
        self._grammars, self._choice = grammars, choice or ToolChoice()
        self._tags = ToolTags.of(grammars.tokenizer)
        required = self._choice.use is ToolUse.REQUIRED
        if required and not (self._tags and toolbox):
            raise InputError("a tool call is required, expected tools and a model that has <tool_call> in its tokens")
        self._toolbox = toolbox if toolbox and self._tags and self._choice.use is not ToolUse.NONE else None
        self._format = grammars.answer(response_format) if response_format and not required else None
        self._call = self._new_call() if required else None
        self._place = _Place.FIRST if required or self._format else _Place.FREE
        self._newline = grammars.tokenizer.encode_plain("\n")[:1]  # between two calls

    @property
    def from_first_token(self) -> bool:
        """Whether the answer's first token is not free."""
        return self._format is not None or self._choice.use is ToolUse.REQUIRED

    def apply(self, logits: Row) -> Row:
        """Logits (vocabulary,) with minus infinity for what may not come; the same array where everything may.

        Raises:
            InputError: a grammar turned out to be too complex.
        """
        match self._place:
            case _Place.FREE:
                return self._without_tags(logits) if self._choice.use is ToolUse.NONE else logits
            case _Place.FIRST:
                return self._first(logits)
            case _Place.FORMAT:
                return _of(self._format).mask(logits)
            case _Place.CALL:
                return _of(self._call).mask(logits)
            case _Place.BETWEEN:
                return _only(logits, [_of(self._tags).start, *self._grammars.stop_ids, *self._newline])
            case _Place.AFTER_NEWLINE:
                return _only(logits, [_of(self._tags).start, *self._grammars.stop_ids])

    def accept(self, id: int) -> None:  # noqa: A002 - the domain's word
        """Take note of an id of the answer.

        Raises:
            InputError: the format or the call under way does not have it here.
        """
        opens = self._toolbox is not None and self._tags is not None and id == self._tags.start
        if self._place is _Place.CALL:
            self._accept_in_call(id)
        elif opens and self._place is not _Place.FORMAT:
            self._open()
        elif self._format and self._place in (_Place.FIRST, _Place.FORMAT):
            self._place = _Place.FORMAT
            self._format.accept(id)
        elif self._place is _Place.BETWEEN:
            self._place = _Place.AFTER_NEWLINE

    def _first(self, logits: Row) -> Row:
        if self._format is None:
            return _only(logits, [_of(self._tags).start])
        masked = self._format.mask(logits)
        if self._toolbox:
            start = _of(self._tags).start
            masked[start] = logits[start]
        return masked

    def _without_tags(self, logits: Row) -> Row:
        logits = logits.copy()
        if self._tags:
            logits[[self._tags.start, self._tags.end]] = -np.inf
        return logits

    def _open(self) -> None:
        if self._call is None:
            self._call = self._new_call()
        else:
            self._call.restart()
        self._place = _Place.CALL

    def _accept_in_call(self, id: int) -> None:  # noqa: A002 - the domain's word
        if id != _of(self._tags).end:
            _of(self._call).accept(id)
            return
        self._place = _Place.BETWEEN if self.from_first_token else _Place.FREE

    def _new_call(self) -> Constraint:
        tools = _of(self._toolbox).tools
        named = [tools[self._choice.name]] if self._choice.name else list(tools.values())
        return self._grammars.call(named, _of(self._tags).end)


def _only(logits: Row, ids: list[int]) -> Row:
    masked = np.full_like(logits, -np.inf)
    masked[ids] = logits[ids]
    return masked


def _of(part: _T | None) -> _T:
    assert part is not None
    return part

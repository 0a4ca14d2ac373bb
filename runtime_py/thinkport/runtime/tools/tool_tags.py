"""The tags around a tool call, as ids: Qwen's `<tool_call>` and `</tool_call>` are added tokens of the tokenizer."""

from dataclasses import dataclass
from typing import Self

from thinkport.runtime.prompt.tokenizer import Tokenizer

START, END = "<tool_call>", "</tool_call>"


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

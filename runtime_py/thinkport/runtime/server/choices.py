"""Replies as `choices`: what chat completions and completions share, whole or in chunks.

Knows OpenAI's shape of a list of choices; what a choice holds is the route's.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from time import time
from typing import Any

from thinkport.runtime.engine.generation import TokenLogprob
from thinkport.runtime.events import AnswerPiece, End, Event
from thinkport.runtime.prompt.tokenizer import Tokenizer, token_bytes
from thinkport.runtime.server.figures import timings, usage
from thinkport.runtime.server.service import Answer


class Choices(Answer, ABC):
    """One request's replies, as they come."""

    whole_kind = chunk_kind = ""
    last_frame = "data: [DONE]\n\n"

    def __init__(self, name: str, model: str, tokenizer: Tokenizer, *, logprobs: bool):
        """`logprobs`: a whole choice has those of its tokens."""
        self._ends = dict[int, End]()
        self._head = {"id": name, "created": int(time()), "model": model}
        self._tokenizer = tokenizer
        self._begun: set[int] = set()
        self._noted: dict[int, list[TokenLogprob]] | None = {} if logprobs else None

    @abstractmethod
    def choice(self, index: int, end: End, noted: Sequence[TokenLogprob] | None) -> dict[str, Any]:
        """The whole choice of reply `index`, with what was noted of its tokens; None where nobody asked for that."""

    @abstractmethod
    def contents(self, index: int, event: Event, *, first: bool) -> Iterator[dict[str, Any]]:
        """What the chunks of an event of reply `index` hold; `first` says that it is that reply's first event."""

    def whole(self) -> dict[str, Any]:
        """The completion, once every reply has ended."""
        ends = sorted(self._ends.items())
        noted = self._noted
        choices = [self.choice(index, end, None if noted is None else noted.get(index, [])) for index, end in ends]
        first = timings(ends[0][1])
        return {**self._head, "object": self.whole_kind, "choices": choices, "usage": self._usage(), "timings": first}

    def events(self, index: int, event: Event) -> Iterator[dict[str, Any]]:
        """The chunks of an event of reply `index`."""
        first = index not in self._begun
        self._begun.add(index)
        if isinstance(event, End):
            self._ends[index] = event
        elif isinstance(event, AnswerPiece) and self._noted is not None:
            self._noted.setdefault(index, []).extend(event.logprobs)
        for content in self.contents(index, event, first=first):
            yield {**self._head, "object": self.chunk_kind, **content}

    def figures(self) -> Iterator[dict[str, Any]]:
        """The chunk of figures after all others; none where no reply ended."""
        if self._ends:
            yield {**self._head, "object": self.chunk_kind, "choices": [], "usage": self._usage()}

    def spelled(self, token: int) -> bytes:
        """The bytes of a token."""
        return token_bytes(self._tokenizer.token(token) or "")

    def _usage(self) -> dict[str, Any]:
        return usage([end for _, end in sorted(self._ends.items())])

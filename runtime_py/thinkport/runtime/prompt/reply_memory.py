"""The very ids of replies that were sampled, so that a reply in the history is fed again as it was written.

A text can be spelled by other ids than the ones its tokenizer gives; fed anew from the text, a reply would be another
sequence than the one the model wrote. Knows ids and their text; must not know templates or KV caches.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

from thinkport.runtime.artifact.manifest import ThinkingIds
from thinkport.runtime.prompt.tokenizer import Tokenizer

LIMIT = 1_000_000  # ids, some 10 MB
_A_TEXT = 8  # replies of one content, the latest of which are kept: tool calls often have none


@dataclass(frozen=True)
class Spelling:
    """Ids and the text they spell."""

    ids: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class KnownReply:
    """A reply's spellings, the longest first: with its thought, without it, each also up to its first tool call."""

    spellings: tuple[Spelling, ...]

    @classmethod
    def of(
        cls, ids: Sequence[int], tokenizer: Tokenizer, thinking: ThinkingIds | None, call: int | None
    ) -> "KnownReply":
        """Of `ids` that follow a turn's header; `call` is the id that begins a tool call, if there is one."""
        starts = [0, _answer_at(ids, tokenizer, thinking)]
        ends = [len(ids), *([ids.index(call)] if call in ids else [])]
        spans = dict.fromkeys((start, end) for start in starts for end in ends if start < end)
        return cls(tuple(Spelling(tuple(ids[a:b]), tokenizer.decode(ids[a:b])) for a, b in spans))

    @property
    def tokens(self) -> int:
        """Ids that are kept."""
        return sum(len(spelling.ids) for spelling in self.spellings)


class ReplyMemory:
    """Replies by their content, the least recently used forgotten first. Any thread may use it."""

    def __init__(self, limit: int = LIMIT):
        """Keep at most `limit` ids."""
        self._limit, self._tokens, self._lock = limit, 0, Lock()
        self._known: OrderedDict[str, list[KnownReply]] = OrderedDict()

    def remember(self, content: str, reply: KnownReply) -> None:
        """Keep a reply whose message has this content."""
        with self._lock:
            before = self._known.pop(content, [])
            replies = [reply, *(known for known in before if known != reply)][:_A_TEXT]
            self._known[content] = replies
            self._tokens += _tokens(replies) - _tokens(before)
            while self._tokens > self._limit:
                self._tokens -= _tokens(self._known.popitem(last=False)[1])

    def spellings(self, content: str) -> Iterator[Spelling]:
        """Every spelling of replies with this content, the latest reply's first."""
        for reply in self.replies(content):
            yield from reply.spellings

    def replies(self, content: str) -> list[KnownReply]:
        """The replies with this content, the latest first."""
        with self._lock:
            if content in self._known:
                self._known.move_to_end(content)
            return list(self._known.get(content, []))


def _tokens(replies: Sequence[KnownReply]) -> int:
    return sum(known.tokens for known in replies)


def _answer_at(ids: Sequence[int], tokenizer: Tokenizer, thinking: ThinkingIds | None) -> int:
    """Where the answer begins: after the thought and the newlines that end it."""
    if thinking is None or thinking.end not in ids:
        return 0
    at = len(ids) - ids[::-1].index(thinking.end)
    while at < len(ids) and not tokenizer.decode([ids[at]]).strip("\n"):
        at += 1
    return at

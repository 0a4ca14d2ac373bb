"""The ids that close a thought for the model, and how many tokens a thought may have.

Knows the ids of markers and what is written around them. Must not know when a thought is closed.
"""

from dataclasses import dataclass

from thinkport.runtime.artifact.manifest import ThinkingIds
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.thinking.thinking import Thinking, ThinkingEnd

_BREAK = "\n\n"  # Qwen's templates write it after `</think>` and in an empty thought


@dataclass(frozen=True, kw_only=True)
class Closing:
    """Ids that end an open thought: with a message, without one, and for one that has nothing in it yet.

    `start` opens a thought; `separator` stands between `</think>` and the answer.
    """

    with_message: tuple[int, ...]
    bare: tuple[int, ...]
    empty: tuple[int, ...]
    start: int
    separator: tuple[int, ...]

    @classmethod
    def of(cls, thinking: ThinkingIds, tokenizer: Tokenizer, message: str) -> "Closing":
        """The closings of a model; the message's text never becomes an added token."""
        line, separator = tokenizer.encode_plain("\n"), tokenizer.encode_plain(_BREAK)
        end = (thinking.end, *separator)
        return cls(
            with_message=(*tokenizer.encode_plain(message), *end),
            bare=(*line, *end),
            empty=(*separator, *end),
            start=thinking.start,
            separator=tuple(separator),
        )


@dataclass(frozen=True, kw_only=True)
class ThoughtLimit:
    """The most tokens that a thought may have, why, and what closes it there."""

    tokens: int
    reason: ThinkingEnd
    closing: tuple[int, ...]


def limit_thought(thinking: Thinking, closing: Closing, limit: int) -> ThoughtLimit:
    """The limit of a thought in a reply that has `limit` tokens beside the opening marker; some stay the answer's.

    The message is left out where it would take what the thought or the answer needs.
    """
    left = limit - min(thinking.answer_reserve, limit // 2)
    with_message = left - len(closing.with_message)
    ids = closing.with_message if with_message > 0 else closing.bare
    room = max(0, left - len(ids))
    if thinking.budget is not None and thinking.budget <= room:
        return ThoughtLimit(tokens=thinking.budget, reason=ThinkingEnd.BUDGET, closing=ids)
    return ThoughtLimit(tokens=room, reason=ThinkingEnd.RESERVE, closing=ids)
